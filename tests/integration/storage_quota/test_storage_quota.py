"""Storage limits on a server's kernel.

Where this machine's kernel has no project quotas, the tests run in a virtual machine on Debian's kernel, which is the
servers'. That machine's root is this one's, read-only, with a writable layer in memory on top.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from platformdirs import user_cache_path

PROJECT = Path(__file__).parents[3]
TESTS = Path(__file__).with_name("on_this_kernel.py")
VM_TIMEOUT_SECONDS = 600


def run(*argv: str | Path) -> str:
    """Run a command; fail with what it said; return both of its outputs."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}"
    return done.stdout


INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /sys /dev /host /layer /root
$b mount -t proc proc /proc
for module in virtio_pci 9pnet_virtio 9p overlay; do $b modprobe $module; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /host
$b mount -t tmpfs -o size=90% layer /layer
$b mkdir /layer/upper /layer/work
$b mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /root
# The kernel looks for modules here, not below /root.
$b mount -o bind /host@MODULES@ /lib/modules
$b mount -t proc proc /root/proc
$b mount -t sysfs sys /root/sys
$b mount -t cgroup2 cgroup /root/sys/fs/cgroup
$b mount -t devtmpfs dev /root/dev
$b mount -t tmpfs run /root/run
$b mount -t tmpfs -o size=90% tmp /root/tmp
# The project may be below /tmp.
$b mkdir -p /root@PROJECT@
$b mount -o bind /host@PROJECT@ /root@PROJECT@
$b modprobe loop
# As systemd does: on private mounts Docker would mount its folder over itself and hide the volumes below it.
$b chroot /root /bin/mount --make-rshared /
$b ip link set lo up
$b chroot /root /usr/bin/env @ENVIRONMENT@ /bin/sh -c 'cd @PROJECT@ && exec "$@"' sh @COMMAND@ && echo ALL-GREEN
$b poweroff -f
"""
EARLY_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")


def debian_kernel() -> Path:
    """Return a folder with Debian's kernel, its modules and a static busybox, fetched once through apt."""
    listed = run("apt-cache", "depends", "--important", "linux-image-amd64").split()
    package = listed[listed.index("Depends:") + 1]
    folder = user_cache_path("markitup-hosting") / f"kernel-{package}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        done = subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, "busybox-static"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"apt can't fetch Debian's kernel: {done.stderr}"
        for deb in folder.glob("*.deb"):
            run("dpkg-deb", "-x", deb, folder)
            deb.unlink()
        release = next((folder / "lib/modules").iterdir()).name
        run(folder / "bin/busybox", "depmod", "-b", folder, release)
        (folder / "complete").touch()
    return folder


def initial_ram_disk(kernel: Path, target: Path, command: Sequence[str], environment: Mapping[str, str]) -> Path:
    """Pack what mounts this machine's root and runs a command in it."""
    modules = next((kernel / "lib/modules").iterdir())
    tree = target / "initrd"
    (tree / "bin").mkdir(parents=True)
    (tree / "sbin").mkdir()
    shutil.copy(kernel / "bin/busybox", tree / "bin/busybox")
    (tree / "sbin/modprobe").symlink_to("/bin/busybox")
    early = tree / "lib/modules" / modules.name
    early.mkdir(parents=True)
    shutil.copy(modules / "modules.dep", early)
    for line in (modules / "modules.dep").read_text().splitlines():
        name, _, needs = line.partition(":")
        if Path(name).stem in EARLY_MODULES:
            for module in (name, *needs.split()):
                (early / module).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(modules / module, early / module)
    init = INIT.replace("@MODULES@", str(modules.parent)).replace("@PROJECT@", str(PROJECT))
    init = init.replace("@COMMAND@", " ".join(command))
    (tree / "init").write_text(init.replace("@ENVIRONMENT@", " ".join(f"{k}={v}" for k, v in environment.items())))
    (tree / "init").chmod(0o755)
    archive = subprocess.run(
        [tree / "bin/busybox", "sh", "-c", "find . | ./bin/busybox cpio -o -H newc"],
        cwd=tree, capture_output=True, check=True,
    ).stdout  # fmt: skip
    packed = target / "initrd.gz"
    packed.write_bytes(gzip.compress(archive, 1))
    return packed


def has_project_quotas(folder: Path) -> bool:
    """Try it: mount a small file system with them."""
    image, point = folder / "probe.ext4", folder / "probe"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    run("mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota", image)
    if subprocess.run(["mount", "-o", "loop,prjquota", image, point], capture_output=True, check=False).returncode:
        return False
    run("umount", point)
    return True


def in_a_virtual_machine(folder: Path, command: Sequence[str]) -> str:
    """Run a command on Debian's kernel, with this machine's root, and return what it printed; no KVM needed."""
    kernel = debian_kernel()
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "PYTHONPATH": "."}
    disk = initial_ram_disk(kernel, folder, command, environment)
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "4096", "-nodefaults", "-no-reboot",
         "-display", "none", "-serial", "stdio", "-kernel", next((kernel / "boot").glob("vmlinuz-*")), "-initrd", disk,
         "-append", "console=ttyS0 quiet panic=-1",
         "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
         "-device", "virtio-9p-pci,fsdev=host,mount_tag=host"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        timeout=VM_TIMEOUT_SECONDS,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_storage_limits_hold_on_a_servers_kernel(tmp_path: Path) -> None:
    """Every test of on_this_kernel.py passes: here where this kernel has project quotas, else on Debian's own."""
    options = ("-o", "addopts=", "-p", "no:cacheprovider", "--import-mode=importlib", "-q", "--color=no", "--tb=short")
    command = (sys.executable, "-m", "pytest", *options, str(TESTS))
    if has_project_quotas(tmp_path):
        said = run(*command)
    else:
        said = in_a_virtual_machine(tmp_path, command)
        assert "ALL-GREEN" in said, said
    assert "11 passed" in said, said
    assert "skipped" not in said, said
