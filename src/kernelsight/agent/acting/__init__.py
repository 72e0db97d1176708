"""How an action is taken: planned, judged by the policy, written down, done, verified, undone.

Nothing here starts a shell, and nothing takes a name of a file or a number from telemetry: a request names a
registered action and a target, and all that will be written is known, and written down, beforehand.
"""
