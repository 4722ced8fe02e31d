#!/bin/sh
# Process 1 of the virtual machine: makes the place that programs expect, runs the command that the exchange disk brings,
# puts what it left on that disk and switches the machine off. The console is the kernel's; what the command prints goes
# to the second line.

export PATH=/bin:/sbin HOME=/tmp
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /exchange
mount -t tmpfs tmpfs /mnt

# Namespace 1 is the first of the names in the kernel's command line, and so on.
disks=$(sed -n 's/.*quadring.disks=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' ')
mkdir /dev/disk
for block in /sys/block/nvme*; do
  [ -e "$block/nsid" ] || continue
  ln -s "/dev/${block##*/}" "/dev/disk/$(echo "$disks" | cut -d ' ' -f "$(cat "$block/nsid")")"
done

stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1 </dev/null

modprobe -a $(cat /etc/modules)
mount /dev/disk/project /project
# No further than what was put there can be: tar would read the disk to its end.
head -c 1048576 /dev/disk/exchange | tar xf - -C /exchange
mkdir -p /exchange/results
cd /project
sh /exchange/command
echo $? >/exchange/results/exit-code
cd /exchange/results
dmesg >kernel.log
tar cf /dev/disk/exchange .
sync
poweroff -f
