"""What the kernel says in its log (`/dev/kmsg`), as messages of closed kinds.

Each module declares the kinds of one subject; :mod:`~kernelsight.linux.kernel_log.reading` matches texts with them.
"""
