import pytest

from kernelsight.linux.services import Service, readable, service_of

ID = "3f1c0a9b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8"
SHORT = "3f1c0a9b2d4e"
POD = "b6ba2e7f-8e3c-4d5a-9f10-2a3b4c5d6e7f"
FLAT_POD = POD.replace("-", "_")


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", Service("postgresql@15-main.service")),
        ("/system.slice/ssh.service", Service("ssh.service")),
        ("/system.slice/nginx.service/workers", Service("nginx.service")),
        ("/system.slice/_cpu.service", Service("cpu.service")),
        ("/user.slice/user-1000.slice/session-3.scope", Service("session-3.scope")),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", Service("user@1000.service")),
        (
            r"/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox\x2desr.service",
            Service(r"app-firefox\x2desr.service"),
        ),
        ("/system.slice/run-r1a2b3c.scope", Service("run-r1a2b3c.scope")),
        (f"/system.slice/docker-{ID}.scope", Service(container=f"docker {SHORT}")),
        (f"/docker/{ID}", Service(container=f"docker {SHORT}")),
        (f"/docker/{ID}/system.slice/nginx.service", Service("nginx.service", f"docker {SHORT}")),
        (
            f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope",
            Service(None, f"docker {SHORT}"),
        ),
        (f"/machine.slice/libpod-{ID}.scope/container", Service(container=f"podman {SHORT}")),
        (f"/libpod_parent/libpod-{ID}", Service(container=f"podman {SHORT}")),
        (f"/machine.slice/libpod-payload-{ID}", Service(container=f"podman {SHORT}")),
        (f"/machine.slice/libpod-conmon-{ID}.scope", Service(f"libpod-conmon-{ID}.scope")),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{FLAT_POD}.slice/cri-containerd-{ID}.scope",
            Service(None, f"containerd {SHORT}", POD),
        ),
        (
            f"/kubepods.slice/kubepods-pod{FLAT_POD}.slice/crio-{ID}.scope",
            Service(None, f"cri-o {SHORT}", POD),
        ),
        (f"/kubepods/besteffort/pod{POD}/{ID}", Service(None, SHORT, POD)),
        (f"/kubepods/besteffort/pod{POD}", Service(pod=POD)),
        (f"/ecs/0f9de17a6465404e8b1b2356dc13c2f8/{ID}", Service(container=SHORT)),
        ("/ecs/x/0f9de17a6465404e8b1b2356dc13c2f8-1234567890", Service(container="0f9de17a6465")),
        ("/lxc.payload.web", Service(container="lxc web")),
        ("/lxc.payload/web/system.slice/cron.service", Service("cron.service", "lxc web")),
        ("/lxc/101/ns", Service(container="lxc 101")),
        (r"/machine.slice/machine-qemu\x2d1\x2dweb.scope/libvirt/emulator", Service(container="machine qemu-1-web")),
    ],
)
def test_a_path_names_unit_container_and_pod(path: str, service: Service) -> None:
    assert service_of(path) == service


@pytest.mark.parametrize(
    "path",
    ["", "/", "/init.scope", "/system.slice", "/user.slice/user-1000.slice", "/lxc.monitor.web", "/docker", "/shop/db",
     "/.service", "/kubepods/besteffort", "/docker/3f1c0a9b2d4e", "/default/web"],
)  # fmt: skip
def test_a_path_that_does_not_tell_gives_none(path: str) -> None:
    assert service_of(path) is None


def test_a_person_reads_it_without_escapes() -> None:
    assert readable(r"app-firefox\x2desr.service") == "app-firefox-esr.service"
    assert readable(r"caf\xc3\xa9.service") == "café.service"
    assert (
        Service(r"a\x2db.service", f"docker {SHORT}", POD).text == f"a-b.service, container docker {SHORT}, pod {POD}"
    )


def test_an_escape_of_what_cannot_be_printed_stays() -> None:
    assert readable(r"a\x1b\x5b2J.service") == r"a\x1b\x5b2J.service"
    assert readable(r"a\xff.service") == r"a\xff.service"
