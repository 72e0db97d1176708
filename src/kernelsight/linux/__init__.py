"""What is known of the Linux kernel, once: its tables, the texts of /proc, its classes of system calls.

Pure: nothing here opens a file or depends on another room, and every room may use it. Functions that understand a text
take the text and raise ``ValueError`` where it is not what it should be; whoever reads decides what that costs.
"""
