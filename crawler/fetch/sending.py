"""A request as it leaves: which way it goes, and what its head carries of the crawl's, of the site's and of its own.

Refuses a SOCKS proxy without its package, and an address behind a proxy that the guard can already judge by its name.
Waits for no turn and sends nothing twice.
"""

from __future__ import annotations

from crawler.clock import Clock
from crawler.config import FetchConfig
from crawler.fetch import socks
from crawler.fetch.connector import Exchange
from crawler.fetch.guard import Guard
from crawler.fetch.headers import authorizations, own_headers, split_credentials
from crawler.fetch.jars import Jars
from crawler.fetch.proxies import Proxies, unusable
from crawler.fetch.session import Reply, Session
from crawler.fetch.translate import FetchFailed
from crawler.spider.travel import PLAIN, Details, Ticket


class Sender:
    """Sends as one crawl's settings have it. Raises ConfigError for a proxy or an authorization that cannot work."""

    def __init__(self, config: FetchConfig, guard: Guard, clock: Clock) -> None:
        self._guard = guard
        self._clock = clock
        self._auth = authorizations(config.auth)
        self._proxies = Proxies(config.proxies)
        self._insecure = frozenset(host.lower() for host in config.insecure_hosts)
        # Whether a request without details needs nothing looked up: then it takes the short way.
        self._simple = not (self._auth or config.proxies or self._insecure)

    async def send(
        self, session: Session, jars: Jars | None, exchange: Exchange, ticket: Ticket, details: Details
    ) -> Reply:
        """One request; returns when the head of its answer is here. Raises what `translate.failure_of` understands."""
        url = ticket.url
        cookies = jars.header(details.session, url, self._clock.now()) if jars is not None else ""
        if details is PLAIN and self._simple and not cookies and "@" not in url:
            return await session.send(exchange, "GET", url)
        proxy = self._proxies.choose(details.proxy, details.session)
        if proxy:
            if why := unusable(proxy):
                raise FetchFailed("unsendable", why)
            self._guard.check_name(ticket.host)
            exchange.proxied = True
            if socks.is_socks(proxy):
                exchange.socks, proxy = proxy, ""
        url, authorization = split_credentials(url)
        return await session.send(
            exchange,
            details.method,
            url,
            own_headers(details, authorization or self._auth.get(ticket.host, ""), cookies),
            details.body or None,
            proxy or None,
            verify=ticket.host not in self._insecure,
        )

    def __repr__(self) -> str:
        return f"<Sender, {self._proxies!r}, {len(self._auth)} hosts with credentials>"
