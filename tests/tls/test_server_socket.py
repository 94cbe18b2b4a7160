"""Sockets that are bound and do not listen yet. These tests use loopback sockets: the kernel is what is asked."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from twisted.internet.protocol import Factory

from staplesrv.errors import OperatorError
from staplesrv.server.privileges import Identity
from staplesrv.tls.binder import BoundSocket
from staplesrv.tls.server_socket import bind_beside, bind_tcp, bind_unix, claim, let_others_listen, listen, refusal


def has_ipv6() -> bool:
    """Try it out."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as made:
            made.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="IPv6 is off here")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def close(sockets: list[socket.socket]) -> None:
    """Close them all."""
    for one in sockets:
        one.close()


class TestTCP:
    def test_does_not_listen(self) -> None:
        """Who connects before listen(2) is refused; afterwards not."""
        (bound,) = bind_tcp("tcp:0", 0, "127.0.0.1")
        with closing(bound):
            address = bound.getsockname()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=5)
            listen("tcp:0", bound, 5)
            socket.create_connection(address, timeout=5).close()

    @needs_ipv6
    def test_both(self) -> None:
        """Without an interface IPv4 and IPv6 get a socket each, on one port, which keep out of each other's way."""
        bound = bind_tcp("tcp:0", 0)
        try:
            assert [one.family for one in bound] == [socket.AF_INET, socket.AF_INET6]
            assert len({one.getsockname()[1] for one in bound}) == 1
            assert bound[1].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        finally:
            close(bound)

    @needs_ipv6
    def test_ipv6_alone(self) -> None:
        """An IPv6 interface gets one socket, and IPv4 stays free."""
        (bound,) = bind_tcp("tcp:0", 0, "::1")
        with closing(bound):
            assert bound.family == socket.AF_INET6
            (other,) = bind_tcp("tcp:0", bound.getsockname()[1], "127.0.0.1")
            other.close()

    def test_name(self) -> None:
        """An interface may be a host's name."""
        (bound,) = bind_tcp("tcp:0", 0, "localhost")
        with closing(bound):
            assert bound.getsockname()[0] in {"127.0.0.1", "::1"}

    def test_not_inherited(self) -> None:
        """Child processes don't get the socket, and it does not block."""
        (bound,) = bind_tcp("tcp:0", 0, "127.0.0.1")
        with closing(bound):
            assert not bound.get_inheritable()
            assert not bound.getblocking()

    def test_in_use(self, taken: int) -> None:
        """A port that is in use is named with advice."""
        with pytest.raises(OperatorError) as caught:
            bind_tcp(f"tcp:{taken}", taken, "127.0.0.1")
        assert str(caught.value).startswith(f"tcp:{taken}: port {taken} is in use; see who listens there")

    def test_in_use_everywhere(self, taken: int) -> None:
        """A port in use on one address can't be had on every address, and nothing is left bound."""
        with pytest.raises(OperatorError, match="is in use"):
            bind_tcp(f"tcp:{taken}", taken)
        if has_ipv6():
            (bound,) = bind_tcp(f"tcp:{taken}", taken, "::")
            bound.close()

    def test_faster_one(self) -> None:
        """Whoever was faster to listen is found out by listen(2)."""
        (first,) = bind_tcp("tcp:0", 0, "127.0.0.1")
        with closing(first):
            (second,) = bind_tcp("tcp:0", first.getsockname()[1], "127.0.0.1")
            with closing(second):
                listen("tcp:0", first, 5)
                with pytest.raises(OperatorError, match="in use"):
                    listen("tcp:0", second, 5)

    @pytest.mark.parametrize("interface", ["192.0.2.1", "2001:db8::1"])
    def test_foreign_address(self, interface: str) -> None:
        """An address that this machine doesn't have says so."""
        with pytest.raises(OperatorError, match=r"no such address|can't be bound"):
            bind_tcp("tcp:0", 0, interface)

    def test_no_such_name(self) -> None:
        """A name that nobody knows is an operator's error."""
        with pytest.raises(OperatorError, match="can't be bound"):
            bind_tcp("tcp:0", 0, "no such name.invalid")

    @pytest.mark.parametrize("port", [-1, 65536, 1 << 70])
    def test_no_port(self, port: int) -> None:
        """A number that is no port is an operator's error."""
        for interface in ("", "127.0.0.1"):
            with pytest.raises(OperatorError):
                bind_tcp(f"tcp:{port}", port, interface)


class TestBeside:
    def test_both_listen(self) -> None:
        """On one address, the second one once the first one lets it."""
        (first,) = bind_tcp("tcp:0", 0, "127.0.0.1")
        with closing(first), closing(bind_beside("tcp:0", first)) as second:
            assert second.getsockname() == first.getsockname()
            listen("tcp:0", first, 5)
            with pytest.raises(OperatorError, match="in use"):
                listen("tcp:0", second, 5)
            let_others_listen(first)
            listen("tcp:0", second, 5)

    @needs_ipv6
    def test_ipv6(self) -> None:
        """Its IPv4 addresses stay with IPv4's sockets."""
        (first,) = bind_tcp("tcp:0", 0, "::")
        with closing(first), closing(bind_beside("tcp:0", first)) as second:
            assert second.family == socket.AF_INET6
            assert second.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1

    def test_others_are_told(self) -> None:
        """Whoever binds in the usual way finds the port in use, though two share it."""
        (first,) = bind_tcp("tcp:0", 0, "127.0.0.1")
        with closing(first):
            listen("tcp:0", first, 5)
            let_others_listen(first)
            with closing(bind_beside("tcp:0", first)) as second:
                listen("tcp:0", second, 5)
                with pytest.raises(OperatorError, match="is in use"):
                    bind_tcp("tcp:0", first.getsockname()[1], "127.0.0.1")

    def test_refused(self) -> None:
        """What the kernel refuses is one line: here the first one has let nobody in."""
        with socket.create_server(("127.0.0.1", 0)) as first, pytest.raises(OperatorError) as caught:
            bind_beside("tcp:0", first)
        assert str(caught.value) == (
            "tcp:0: can't be bound once more for another worker: Address already in use; "
            "restart, or let the number of workers stay"
        )


class TestRefusal:
    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (errno.EACCES, "CAP_NET_BIND_SERVICE"),
            (errno.EPERM, "permission denied"),
            (errno.EADDRINUSE, "the address is in use"),
            (errno.EADDRNOTAVAIL, "no such address"),
            (errno.EMFILE, "Too many open files"),
        ],
    )
    def test_words(self, number: int, words: str) -> None:
        """What the system says becomes one line with advice."""
        text = str(refusal("tcp:443", OSError(number, os.strerror(number))))
        assert words in text
        assert "\n" not in text


class TestUNIX:
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
    def test_a_folder_of_others(self, tmp_path: Path) -> None:
        """Privileged ports have nothing to do with it."""
        with Identity(65534, 65534, ()).assumed(), pytest.raises(OperatorError) as caught:
            bind_unix("unix:s", Path("/s"), 0o600, lock=True)
        assert str(caught.value) == (
            "unix:s: permission denied; let the server's user write /, or choose another directory"
        )

    def test_until_it_is_removed(self, tmp_path: Path) -> None:
        """The socket has its mode, is locked, and goes without a trace."""
        path = tmp_path / "s"
        bound, remove = bind_unix("unix:s", path, 0o600, lock=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(OperatorError, match="another process has the socket"):
            bind_unix("unix:s", path, 0o600, lock=True)
        bound.close()
        remove()
        assert list(tmp_path.iterdir()) == []

    def test_left_over(self, tmp_path: Path) -> None:
        """A socket whose owner died is replaced."""
        path = tmp_path / "s"
        bound, _ = bind_unix("unix:s", path, 0o600, lock=False)
        bound.close()
        # The lock of a process that is no more: Twisted's locks are links to process ids.
        (tmp_path / "s.lock").symlink_to("999999999")
        bound, remove = bind_unix("unix:s", path, 0o600, lock=True)
        assert path.is_socket()
        bound.close()
        remove()

    def test_a_process_that_forked(self, tmp_path: Path) -> None:
        """As twistd does: the lock that was made before belongs to whoever listens."""
        path = tmp_path / "s"
        bound, remove = bind_unix("unix:s", path, 0o600, lock=True)
        (tmp_path / "s.lock").unlink()
        (tmp_path / "s.lock").symlink_to("999999999")
        one = BoundSocket(bound, Factory(), backlog=1, remove=remove)
        one.listen("unix:s")
        with pytest.raises(OperatorError, match="another process has the socket"):
            bind_unix("unix:s", path, 0o600, lock=True)
        one.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_lock_that_may_not_be_changed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It stays as it is, and nothing is left beside it."""

        def denied(*_: object) -> None:
            raise PermissionError

        (tmp_path / "s.lock").symlink_to("999999999")
        monkeypatch.setattr(Path, "replace", denied)
        claim(tmp_path / "s")
        assert [one.name for one in tmp_path.iterdir()] == ["s.lock"]

    def test_no_lock_is_made_for_others(self, tmp_path: Path) -> None:
        """Nor is that of a process changed that has only lent its socket."""
        path = tmp_path / "s"
        bound, remove = bind_unix("unix:s", path, 0o600, lock=False)
        one = BoundSocket(bound, Factory(), backlog=1, remove=remove)
        one.listen("unix:s")
        assert list(tmp_path.iterdir()) == [path]
        one.leave_path()
        (tmp_path / "s.lock").symlink_to("999999999")
        one.listen("unix:s")
        assert (tmp_path / "s.lock").readlink() == Path("999999999")
        one.close()
        remove()

    def test_taken_over(self, tmp_path: Path) -> None:
        """A socket whose owner died is left alone if another process listens on it, however busy that is."""
        path = tmp_path / "s"
        bound, _ = bind_unix("unix:s", path, 0o600, lock=False)
        bound.listen(0)
        with bound, socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(path))
            for _ in range(2):
                (tmp_path / "s.lock").symlink_to("999999999")
                with pytest.raises(OperatorError, match="in use"):
                    bind_unix("unix:s", path, 0o600, lock=True)
            assert path.is_socket()

    def test_other_file(self, tmp_path: Path) -> None:
        """A file that is no socket is left alone."""
        path = tmp_path / "s"
        path.write_text("precious")
        (tmp_path / "s.lock").symlink_to("999999999")
        with pytest.raises(OperatorError, match="in use"):
            bind_unix("unix:s", path, 0o600, lock=True)
        assert path.read_text() == "precious"
        assert not (tmp_path / "s.lock").is_symlink()

    def test_no_directory(self, tmp_path: Path) -> None:
        """A directory that isn't there is an operator's error, with and without a lock."""
        for lock in (True, False):
            with pytest.raises(OperatorError, match=f"unix:s: there is no directory {tmp_path}/none; make it"):
                bind_unix("unix:s", tmp_path / "none" / "s", 0o600, lock=lock)

    def test_long_path(self, tmp_path: Path) -> None:
        """A path that is too long for a socket is an operator's error."""
        with pytest.raises(OperatorError, match="too long"):
            bind_unix("unix:s", tmp_path / ("s" * 200), 0o600, lock=False)
