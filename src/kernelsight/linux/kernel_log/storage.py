"""Messages about disks and file systems."""

from __future__ import annotations

from kernelsight.linux.kernel_log.kinds import DEVICE, MessageKind, Pattern

_FS = r"(?:EXT[234]|F2FS|NILFS|FAT|exFAT|ISOFS|UDF|GFS2|OCFS2|EROFS|HFS|MINIX|REISERFS)-fs"
_JOURNAL = r"(?P<device>dm-\d+|[\w!/.:-]{1,60}?)(?:-\d+)?"
"""A device, and mostly the inode of its journal."""

KINDS = (
    MessageKind(
        "io_error",
        "A request of a device failed.",
        (
            Pattern(
                rf"(?:blk_update_request: |print_req_error: )?(?!operation not|nonblocking)(?P<error>I/O|critical "
                rf"\w+(?: \w+)?|[a-z][a-z ]{{2,30}}) "
                rf"error, dev {DEVICE}, sector (?P<sector>\d+)(?: op 0x[\da-f]+:\((?P<operation>\w+)\))?",
                "I/O error, dev loop0, sector 49704 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2",
                "block/blk-mq.c: blk_print_req_error (before 5.16 block/blk-core.c: print_req_error, with the prefix "
                "`blk_update_request: `)",
            ),
            Pattern(
                rf"Buffer I/O error on dev(?:ice)? {DEVICE}, logical block (?P<sector>\d+)",
                "Buffer I/O error on dev loop0, logical block 261, lost async page write",
                "fs/buffer.c: buffer_io_error; fs/ext4/page-io.c: buffer_io_error (`device`)",
            ),
            Pattern(
                rf"sd [\d:]+: \[{DEVICE}\] (?:tag#\d+ )?(?:Sense Key : (?P<error>Medium|Hardware|Aborted) |FAILED "
                rf"Result)",
                "sd 2:0:0:0: [sdb] tag#21 Sense Key : Medium Error [current]",
                "drivers/scsi/scsi_logging.c: scsi_log_print_sense_hdr, scsi_print_result",
            ),
            Pattern(
                rf"{DEVICE}: .*, I/O Error \(sct 0x[\da-f]+ / sc 0x[\da-f]+\)",
                "nvme0n1: I/O Cmd(0x2) @ LBA 1310720, 8 blocks, I/O Error (sct 0x2 / sc 0x81) DNR",
                "drivers/nvme/host/core.c: nvme_log_error (5.17 and later)",
            ),
            Pattern(
                r"(?:Read|Write)-error on swap-device \((?P<device>\d+:\d+):(?P<sector>\d+)\)",
                "Read-error on swap-device (8:16:123456)",
                "mm/page_io.c: end_swap_bio_read, end_swap_bio_write",
            ),
            Pattern(
                rf"{DEVICE}: (?:unrecoverable |critical )?error,? .*(?:sector|command)",
                "mmcblk0: error -110 sending stop command, original cmd response 0x900, card status 0xd00",
                "drivers/mmc/core/block.c: mmc_blk_cmd_recovery",
            ),
        ),
        limited_by=("blk_print_req_error", "print_req_error", "blk_update_request", "buffer_io_error"),
    ),
    MessageKind(
        "device_timeout",
        "A device did not answer in time, or was reset.",
        (
            Pattern(
                r"nvme (?P<device>nvme\d+): (?:I/O (?:tag )?\d+ .*timeout|controller is down; will reset)",
                "nvme nvme0: I/O tag 12 (100c) opcode 0x2 (I/O Cmd) QID 3 timeout, aborting req_op:READ(0) size:4096",
                "drivers/nvme/host/pci.c: nvme_timeout, nvme_warn_reset",
            ),
            Pattern(
                r"(?P<device>ata\d+(?:\.\d+)?): (?:exception Emask|failed command:|COMRESET failed|link is slow to "
                r"respond)",
                "ata1.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen",
                "drivers/ata/libata-eh.c: ata_eh_link_report, ata_eh_reset",
            ),
            Pattern(
                r"(?P<device>mmc\d+): Timeout waiting for hardware",
                "mmc0: Timeout waiting for hardware interrupt.",
                "drivers/mmc/host/sdhci.c: sdhci_timeout_timer",
            ),
        ),
    ),
    MessageKind(
        "device_gone",
        "The kernel gave a device up, or it was taken out.",
        (
            Pattern(
                r"sd [\d:]+: (?:\[(?P<device>\w+)\] )?(?:rejecting I/O to (?:offline|dead) device|Device offlined)",
                "sd 2:0:0:0: rejecting I/O to offline device",
                "drivers/scsi/scsi_lib.c: scsi_device_state_check; scsi_error.c: scsi_eh_offline_sdevs",
            ),
            Pattern(
                r"nvme (?P<device>nvme\d+): (?:Device not ready; aborting|Removing after probe failure|Disabling "
                r"device)",
                "nvme nvme0: Disabling device after reset failure: -19",
                "drivers/nvme/host/pci.c: nvme_reset_work",
            ),
            Pattern(
                r"usb (?P<device>[\d.-]+): USB disconnect, device number \d+",
                "usb 1-1.2: USB disconnect, device number 5",
                "drivers/usb/core/hub.c: usb_disconnect",
            ),
        ),
    ),
    MessageKind(
        "raid_degraded",
        "A disk of an array or a path to a disk failed.",
        (
            Pattern(
                r"md/\w+:(?P<device>md\w+): Disk failure on (?P<place>\w+), disabling device",
                "md/raid1:md0: Disk failure on sdb1, disabling device.",
                "drivers/md/raid1.c: raid1_error; raid10.c, raid5.c",
            ),
            Pattern(
                r"device-mapper: multipath: (?P<device>\d+:\d+): Failing path (?P<place>\S+?)\.?$",
                "device-mapper: multipath: 253:0: Failing path 8:16.",
                "drivers/md/dm-mpath.c: fail_path",
            ),
        ),
    ),
    MessageKind(
        "filesystem_read_only",
        "The kernel lets nobody write to a file system any more, after an error.",
        (
            Pattern(
                rf"{_FS} \({DEVICE}\): (?:Remounting filesystem read-only|Filesystem has been set read-only)",
                "EXT4-fs (loop0): Remounting filesystem read-only",
                "fs/ext4/super.c: ext4_handle_error; fs/f2fs/super.c, fs/fat/misc.c, fs/nilfs2/super.c",
            ),
            Pattern(
                rf"BTRFS info \(device {DEVICE}(?: state \w+)?\): forced readonly",
                "BTRFS info (device loop0 state E): forced readonly",
                "fs/btrfs/messages.c: __btrfs_handle_fs_error",
            ),
            Pattern(
                rf"BTRFS: error \(device {DEVICE}(?: state \w+)?\) in ",
                "BTRFS: error (device loop0 state A) in btrfs_commit_transaction:2494: errno=-5 IO failure",
                "fs/btrfs/messages.c: __btrfs_handle_fs_error",
            ),
            Pattern(
                rf"XFS \({DEVICE}\): (?:Filesystem has been shut down|[\w/ ()]+ detected at .*Shutting down "
                rf"filesystem)",
                "XFS (loop0): Filesystem has been shut down due to log error (0x2).",
                "fs/xfs/xfs_fsops.c: xfs_do_force_shutdown",
            ),
        ),
        lasts=True,
    ),
    MessageKind(
        "filesystem_error",
        "A file system met an error of its device, or damage.",
        (
            Pattern(
                rf"{_FS} (?:error|panic) \(device {DEVICE}\)",
                "EXT4-fs error (device loop0): ext4_find_entry:1584: inode #2: comm ls: reading directory lblock 0",
                "fs/ext4/super.c: __ext4_error, __ext4_error_inode",
            ),
            Pattern(
                rf"{_FS} warning \(device {DEVICE}\): \w+:\d+: I/O error",
                "EXT4-fs warning (device loop0): ext4_end_bio:368: I/O error 10 writing to inode 13 starting block "
                "24849",
                "fs/ext4/page-io.c: ext4_end_bio",
            ),
            Pattern(
                rf"{_FS} \({DEVICE}\): (?:I/O error while|previous I/O error to superblock|failed to convert unwritten|"
                r"Delayed block allocation failed|This should not happen|error, |Inconsistent|unable to read|"
                r"warning: mounting (?:fs|unchecked) |error loading journal|failed to open journal)",
                "EXT4-fs (loop0): failed to convert unwritten extents to written extents -- potential data loss!",
                "fs/ext4/super.c: ext4_commit_super; fs/ext4/inode.c, extents.c, page-io.c; fs/fat/misc.c",
            ),
            Pattern(
                rf"Aborting journal on device {_JOURNAL}\.",
                "Aborting journal on device loop0-8.",
                "fs/jbd2/journal.c: __jbd2_journal_abort_hard, jbd2_journal_abort",
            ),
            Pattern(
                rf"JBD2: (?:I/O error when updating journal superblock for|Detected IO errors(?: -?\d+)? while "
                rf"flushing "
                rf"file data on) {_JOURNAL}(?:\.$|$)",
                "JBD2: I/O error when updating journal superblock for loop0-8.",
                "fs/jbd2/journal.c: jbd2_write_superblock; fs/jbd2/commit.c",
            ),
            Pattern(
                rf"XFS \({DEVICE}\): (?:Metadata corruption|metadata I/O error|log I/O error|Corruption |page discard|"
                r"writeback error|Unmount and run xfs_repair)",
                'XFS (loop0): metadata I/O error in "xfs_buf_ioerror_alert_ratelimited" at daddr 0x2 len 1 error 5',
                "fs/xfs/xfs_buf.c, xfs_error.c, xfs_log.c, xfs_aops.c",
            ),
            Pattern(
                rf"BTRFS (?:error|critical|warning) \(device {DEVICE}(?: state \w+)?\): (?:bdev|csum|checksum|parent "
                r"transid|bad tree|lost|unable|corrupt|level verify|error|IO failure|i/o error|read|write|failed)",
                "BTRFS error (device loop0): bdev /dev/loop0 errs: wr 1, rd 0, flush 0, corrupt 0, gen 0",
                "fs/btrfs/volumes.c: btrfs_dev_stat_inc_and_print",
            ),
            Pattern(
                r"SQUASHFS error: ",
                "SQUASHFS error: Failed to read block 0x1a2b: -5",
                "fs/squashfs/block.c",
            ),
        ),
        limited_by=("EXT4-fs", "EXT4-fs error", "EXT4-fs warning"),
        lasts=True,
    ),
    MessageKind(
        "filesystem_mounted",
        "A file system was mounted, mounted again with other options, or unmounted, as somebody asked for.",
        (
            Pattern(
                rf"{_FS} \({DEVICE}\): (?:re-mounted|mounted filesystem|unmounting filesystem)",
                "EXT4-fs (loop0): re-mounted 947424a3-4157-418a-9e9c-5fec078f8715.",
                "fs/ext4/super.c: ext4_reconfigure, ext4_fill_super, ext4_put_super",
            ),
            Pattern(
                rf"XFS \({DEVICE}\): (?:Ending clean mount|Unmounting Filesystem)",
                "XFS (loop0): Ending clean mount",
                "fs/xfs/xfs_log.c: xfs_log_mount_finish; fs/xfs/xfs_super.c",
            ),
            Pattern(
                rf"BTRFS info \(device {DEVICE}(?: state \w+)?\): (?:first mount of|last unmount of|disk space "
                rf"caching)",
                "BTRFS info (device loop0): first mount of filesystem 947424a3-4157-418a-9e9c-5fec078f8715",
                "fs/btrfs/disk-io.c, fs/btrfs/super.c",
            ),
        ),
    ),
    MessageKind(
        "server_not_responding",
        "A file server or a storage host does not answer.",
        (
            Pattern(
                r"(?:nfs|lockd): server (?P<place>\S{1,255}) (?:not responding|timed out)",
                "nfs: server 10.0.0.7 not responding, still trying",
                "net/sunrpc/clnt.c: call_timeout, rpc_check_timeout",
            ),
            Pattern(
                r"CIFS: (?:VFS: )?(?P<place>\\\\\S{1,255}) has not responded in (?P<seconds>\d+) seconds",
                r"CIFS: VFS: \\files has not responded in 180 seconds. Reconnecting...",
                "fs/smb/client/connect.c: server_unresponsive",
            ),
            Pattern(
                r"connection(?P<place>\d+:\d+): ping timeout of (?P<seconds>\d+) secs expired",
                "connection1:0: ping timeout of 5 secs expired, recv timeout 5, last rx 4295, last ping 4296, now 4297",
                "drivers/scsi/libiscsi.c: iscsi_check_transport_timeouts",
            ),
        ),
    ),
)
