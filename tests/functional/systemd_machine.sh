# What `systemd_machine.Machine` boots: systemd as process 1, on files that are ROOT's and whose changes are forgotten.
# Runs in namespaces of its own (processes, mounts, cgroups, names; the network is the host's) and changes nothing
# outside of them: what could reach the kernel's settings is mounted read-only.
#   systemd_machine.sh ROOT BASE PYTHON PACKAGES...      BASE/files is copied over ROOT's
set -eu
root=$1 base=$2 python=$3
shift 3
hostname staplesrv-test
mount -t tmpfs tmpfs "$base/memory"
here=$base/memory/root
mkdir "$base/memory/upper" "$base/memory/work" "$here"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$base/memory/upper,workdir=$base/memory/work" "$here"

mount -t proc proc "$here/proc"
for path in sys sysrq-trigger; do
  [ ! -e "$here/proc/$path" ] || mount --bind -o ro "$here/proc/$path" "$here/proc/$path"
done
mount -t sysfs -o ro sysfs "$here/sys"
mount -t cgroup2 cgroup2 "$here/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$here/dev"
for device in null zero full random urandom tty; do
  touch "$here/dev/$device"
  mount --bind "/dev/$device" "$here/dev/$device"
done
mkdir "$here/dev/pts" "$here/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$here/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$here/dev/shm"
ln -s pts/ptmx "$here/dev/ptmx"
ln -s /proc/self/fd "$here/dev/fd"
for path in run tmp root; do mount -t tmpfs -o mode=755 tmpfs "$here/$path"; done
chmod 1777 "$here/tmp"

# As if installed into /opt/staplesrv, with the packages of the environment that the tests run in.
site=opt/staplesrv/lib/$(basename "$python")/site-packages
mkdir -p "$here/opt/python" "$here/$site"
mount --bind -o ro "$(dirname "$(dirname "$python")")" "$here/opt/python"
echo /opt/python/lib >"$here/etc/ld.so.conf.d/000-staplesrv.conf"
chroot "$here" /sbin/ldconfig
mount -t overlay overlay -o "lowerdir=$(IFS=: && echo "$*")" "$here/$site"
cp -a "$base/files/." "$here"
for unit in sys-kernel-debug.mount sys-kernel-tracing.mount systemd-logind.service; do
  ln -sf /dev/null "$here/etc/systemd/system/$unit"
done

cd "$here"
mkdir -p .outside
pivot_root . .outside
umount -l .outside
exec env -i container=staplesrv-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  setpriv --bounding-set=-sys_boot,-sys_module,-sys_rawio,-sys_time,-syslog \
  /usr/lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no
