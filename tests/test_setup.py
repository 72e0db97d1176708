"""Set-up: from a fresh clone to a running command, for anybody, as often as one likes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
NOBODY = 65534


def run(command, *, cwd=None, env=None, user=None, timeout=300):
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**clean_environment(), **(env or {})},
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def clean_environment():
    """This environment without the virtual environment that the tests run in."""
    venv_bin = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != venv_bin)
    return {**{k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "KERNELSIGHT_DB_PATH"}}, "PATH": path}


def skip_without_git():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs git and a git checkout to clone")


@pytest.fixture
def clone(tmp_path):
    skip_without_git()
    folder = tmp_path / "a fresh clone"
    made = run(["git", "clone", "-q", ROOT, folder])
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_everything_with_hashes_and_name_no_registry(lock):
    text = (ROOT / lock).read_text()
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^\s;]+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert "://" not in text


def test_what_is_tested_is_what_is_run():
    pins = {
        lock: dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in LOCKS
    }
    for lock in LOCKS:
        for package, version in pins[lock].items():
            assert pins["requirements-dev.lock"].get(package, version) == version, package
    assert set(pins["requirements.lock"]) <= set(pins["requirements-dev.lock"])


def test_every_dependency_is_locked():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        "requirements.lock": project["dependencies"],
        "requirements-dev.lock": [one for extra in project["optional-dependencies"].values() for one in extra],
    }
    for lock, dependencies in wanted.items():
        for dependency in dependencies:
            name = re.match(r"[A-Za-z0-9-]+", dependency)[0].lower()
            if name == project["name"]:  # its own extras, which are looked at as well
                continue
            assert re.search(rf"^{name}(\[[a-z0-9,-]+\])?==", (ROOT / lock).read_text(), re.MULTILINE), (
                f"{name}: run make lock"
            )


def test_packages_debian_is_well_formed():
    lines = [line.split(None, 3) for line in (ROOT / "packages.debian").read_text().splitlines()]
    entries = [fields for fields in lines if fields and not fields[0].startswith("#")]
    assert entries
    for package, purpose, condition, why in entries:
        assert re.fullmatch(r"[a-z0-9.+-]+", package)
        assert purpose in {"run", "test", "bench"}
        assert re.match(r"(command|file|python-module):\S+$", condition)
        assert why


@pytest.fixture(scope="module")
def set_up():
    """A fresh clone, set up by a start from elsewhere, through a link; as root, by an unprivileged user.

    Set-up takes many seconds: all tests of its result share it. The one that changes a lock comes last.
    """
    skip_without_git()
    user = NOBODY if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="kernelsight-user-") as name:
        home = Path(name)
        home.chmod(0o755)
        assert run(["git", "clone", "-q", ROOT, home / "a fresh clone"]).returncode == 0
        (home / "start here").symlink_to(home / "a fresh clone/start_kernelsight.sh")
        if user is not None:
            run(["chown", "-hR", f"{user}:{user}", home])
        environment = {"HOME": name, "PIP_NO_CACHE_DIR": "1", "PATH": "/usr/local/bin:/usr/bin:/bin"}

        def as_user(*command):
            return run(command, cwd="/", env=environment, user=user)

        first = as_user(home / "start here", "--no-agent", "--duration", "3")
        yield home / "a fresh clone", first, as_user


@pytest.mark.slow
def test_the_first_start_sets_up_and_runs(set_up):
    clone, first, as_user = set_up
    assert first.returncode == 0, first.stderr
    assert "setup: virtual environment" in first.stdout
    assert "events stored" in first.stdout
    assert (clone / "data/kernelsight.db").stat().st_uid == (NOBODY if os.geteuid() == 0 else os.geteuid())
    assert "--agent-interval" in as_user(clone.parent / "start here", "--help").stdout
    assert as_user("git", "-C", clone, "status", "--porcelain").stdout == ""


@pytest.mark.slow
def test_set_up_does_nothing_the_second_time(set_up):
    clone, _, as_user = set_up
    again = as_user(clone / "scripts/setup.sh", "run")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.slow
def test_what_is_documented_runs_where_it_was_set_up(set_up):
    clone, _, as_user = set_up
    snippet = "from db_manager import DatabaseManager; from query_utils import query_syscalls_by_timerange; print('ok')"
    assert as_user(clone / ".venv/bin/python", "-c", snippet).stdout == "ok\n"
    printed = as_user(clone / "build/src/telemetry/scraper_daemon", "--duration", "1")
    assert printed.returncode == 0, printed.stderr
    assert '"type":"load"' in printed.stdout


@pytest.mark.slow
def test_a_changed_lock_is_set_up_again_in_the_same_virtual_environment(set_up):
    clone, _, as_user = set_up
    lock = clone / "requirements.lock"
    lock.write_text(lock.read_text() + "# changed\n")
    changed = as_user(clone / "scripts/setup.sh", "run")
    assert changed.returncode == 0, changed.stderr
    assert "virtual environment" not in changed.stdout
    assert "setup: dependencies" in changed.stdout


def test_an_old_python_is_refused_with_what_to_do(clone, tmp_path):
    tools = only_these_tools(tmp_path, "cat", "id", "dirname", "readlink", "mkdir", "flock", "bash", "env")
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        script = tools / name
        script.write_text("#!/bin/sh\nexit 1\n")
        script.chmod(0o755)
    setup = (clone / "scripts/setup.sh").read_text().replace("/usr/bin/python3 \\", "\\")
    (clone / "scripts/setup.sh").write_text(setup)
    done = run([clone / "scripts/setup.sh"], env={"PATH": str(tools), "HOME": str(tmp_path)})
    assert done.returncode == 1
    assert "no Python 3.11 or newer found" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_a_python_that_cannot_make_environments_is_refused_with_what_to_type(clone, tmp_path):
    broken = tmp_path / "without"
    broken.mkdir()
    for module in ("ensurepip", "virtualenv", "pip"):
        (broken / f"{module}.py").write_text("raise ImportError")
    # What runs as root would install the package instead, so there is no apt-get here.
    tools = only_these_tools(
        tmp_path, "cat", "id", "dirname", "readlink", "mkdir", "flock", "bash", "env", "sha256sum", "cut", "cmp"
    )
    environment = {"PATH": str(tools), "PYTHONPATH": str(broken), "PYTHON": base_python()}
    done = run([clone / "scripts/setup.sh"], env=environment)
    assert done.returncode == 1
    assert re.search(r"sudo apt-get install python3(\.\d+)?-venv", done.stderr)
    assert "python3-venv is missing (makes the virtual environment)" in done.stdout


@pytest.mark.slow
def test_a_python_without_ensurepip_but_with_pip_will_do(clone, tmp_path):
    broken = tmp_path / "without"
    broken.mkdir()
    for module in ("ensurepip", "virtualenv"):
        (broken / f"{module}.py").write_text("raise ImportError")
    if run([base_python(), "-m", "pip", "--version"]).returncode:
        pytest.skip(f"{base_python()} has no pip")
    no_apt = tmp_path / "no-apt"
    no_apt.mkdir()
    (no_apt / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (no_apt / "apt-get").chmod(0o755)
    path = f"{no_apt}{os.pathsep}{clean_environment()['PATH']}"
    environment = {"PATH": path, "PYTHONPATH": str(broken), "PYTHON": base_python()}
    # Only the way to the virtual environment is another one: of what goes into it, what builds the package will do.
    (clone / "requirements.lock").write_text("")
    done = run([clone / "scripts/setup.sh"], env=environment)
    assert done.returncode == 0, done.stderr
    assert "could not install python3-venv" in done.stdout or os.geteuid() != 0
    python = clone / ".venv/bin/python"
    assert run([python, "-m", "pip", "--version"]).returncode == 0
    assert run([python, "-c", "import kernelsight; print(kernelsight.__file__)"]).stdout.strip().startswith(str(clone))


def only_these_tools(tmp_path, *names):
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return folder


def base_python():
    """The interpreter that this virtual environment was made with."""
    return str(Path(sys.base_prefix) / "bin" / "python3")
