"""Tell people and programs of the findings of the agent, until Ctrl-C: when one begins, and when it is over.

The agent (`kernelsight start` runs it) writes down what it finds; this command follows that. A channel that cannot be
reached is tried again, less and less often; what waits for it is bounded. Muted findings are not told.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from kernelsight import service_manager
from kernelsight.errors import KernelSightError, UsageError
from kernelsight.query.source import opened
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, seconds
from kernelsight.surfaces.exports.state import last_diagnosis
from kernelsight.surfaces.notify.channel import Channel
from kernelsight.surfaces.notify.channels.email import Email
from kernelsight.surfaces.notify.channels.journal import Journal
from kernelsight.surfaces.notify.channels.wall import Wall
from kernelsight.surfaces.notify.channels.webhook import Webhook
from kernelsight.surfaces.notify.delivery import Delivery
from kernelsight.surfaces.notify.follow import Follower
from kernelsight.surfaces.notify.notice import Notice
from kernelsight.surfaces.stopping import stop_on_signals
from kernelsight.trusted_paths import UntrustedPathError, read_text

_POLL_S = 2.0
_DAY_S = 86_400.0
_NEWS_NS = 3600 * 1_000_000_000
"""A diagnosis that is older than this when the command starts is no news."""

_secret_file = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--webhook", metavar="URL", multiple=True, help="POST JSON to this URL; may be repeated.")
@click.option(
    "--webhook-token-file", type=_secret_file, metavar="FILE", help="Holds the token that webhooks get, for this user."
)
@click.option("--email", metavar="ADDRESS", multiple=True, help="Send e-mail to this address; may be repeated.")
@click.option("--smtp", default="localhost:25", show_default=True, metavar="HOST[:PORT]", help="The server for e-mail.")
@click.option("--email-from", metavar="ADDRESS", help="Sender of e-mail.  [default: kernelsight@HOST]")
@click.option(
    "--smtp-login-file", type=_secret_file, metavar="FILE", help="Holds USER:PASSWORD for the server, for this user."
)
@click.option("--journal", is_flag=True, help="Write to the journal of systemd, with fields.")
@click.option("--wall", is_flag=True, help="Write to the terminals of all who are logged in.")
@click.option(
    "--least-confidence",
    type=click.FloatRange(0, 1),
    default=0.7,
    show_default=True,
    help="Findings of which the agent is less sure are not told.",
)
@click.option(
    "--repeat",
    type=float,
    callback=seconds(),
    default=_DAY_S,
    show_default=True,
    metavar="SECONDS",
    help="What goes on is told again after this time.",
)
@click.option("--test", "is_test", is_flag=True, help="Send one test notice through each channel, and end.")
@examples(
    "kernelsight notify --journal --wall",
    "kernelsight notify --webhook https://example.org/hook --webhook-token-file /etc/kernelsight/token",
    "kernelsight notify --email admin@example.org --smtp mail.example.org:587 --test",
)
def notify(  # noqa: PLR0913 - one argument an option
    *,
    db_path: str,
    webhook: tuple[str, ...],
    webhook_token_file: Path | None,
    email: tuple[str, ...],
    smtp: str,
    email_from: str | None,
    smtp_login_file: Path | None,
    journal: bool,
    wall: bool,
    least_confidence: float,
    repeat: float,
    is_test: bool,
) -> None:
    """Follow the diagnoses."""
    token, login = _secret(webhook_token_file), _secret(smtp_login_file)
    channels: list[Channel] = [Webhook(url, token) for url in webhook]
    channels += [Email(email, smtp, email_from, login)] if email else []
    channels += [Journal()] if journal else []
    channels += [Wall()] if wall else []
    if not channels:
        raise UsageError("name a channel: --webhook, --email, --journal or --wall")
    if is_test:
        _test(channels)
        return
    stop = stop_on_signals()
    follower = Follower(least_confidence=least_confidence, repeat_s=repeat)
    delivery = Delivery(channels, lambda sentence: click.echo(f"kernelsight notify: {sentence}", err=True))
    since_ns = time.time_ns() - _NEWS_NS
    while True:
        with opened(db_path) as reader:
            rows = last_diagnosis(reader)
        if rows and rows[0].timestamp >= since_ns:
            for notice in follower.look(rows, time.time_ns()):
                delivery.add(notice)
        delivery.send(time.monotonic())
        service_manager.alive()
        if stop.wait(_POLL_S):
            break


def _test(channels: list[Channel]) -> None:
    now_ns = time.time_ns()
    notice = Notice("test", "none", "machine", "machine", "a test of this channel", 1.0, now_ns, now_ns)
    for channel in channels:
        channel.send(notice)
        click.echo(f"{channel.name}: taken")


def _secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return read_text(path, secret=True).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KernelSightError(f"{path}: cannot be read: {error}") from error
    except UntrustedPathError as error:
        raise UsageError(str(error)) from error
