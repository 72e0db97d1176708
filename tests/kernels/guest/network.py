"""Packets that are lost, and sockets."""
