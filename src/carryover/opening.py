"""Opening the embedded log as the settings describe it, for all that stand on it."""

from __future__ import annotations

from contextlib import closing

from carryover.core import files
from carryover.core.errors import Invalid, KeyLost
from carryover.core.ports import Clock
from carryover.core.scope import EVERY_TENANT
from carryover.log.append import Limits
from carryover.settings import Settings
from carryover.store import keyring, sessions_sealed
from carryover.store.keyring import Keyring
from carryover.store.master import Given, GivenFile
from carryover.store.news import LocalNews, News, SharedNews
from carryover.store.redis import Redis
from carryover.store.redis_channel import RedisChannel
from carryover.store.seal import Seal
from carryover.store.sealing import Sealing
from carryover.store.secrets import secret
from carryover.store.store import Store
from carryover.store.vault import Vault


def open_store(settings: Settings, *, clock: Clock | None = None) -> Store:
    """The store, made where there is none, its folder the owner's alone.

    Raises Invalid when the folder cannot be made, StoreUnavailable when the database cannot be opened.
    """
    folder = settings.folder
    if settings.database_url is None:
        try:
            files.make_folder(folder)
        except OSError as cause:
            raise Invalid(
                f"{folder} cannot be made ({cause.strerror}); set CARRYOVER_HOME to a folder you may write to",
                field="home",
            ) from cause
    store = with_keys(settings, Store.open(settings.store_url, clock=clock, pool=settings.database_pool))
    try:
        if settings.encryption:
            sessions_sealed.begins(store, only_new=True)
    except BaseException:
        store.close()
        raise
    return store


def with_keys(settings: Settings, store: Store) -> Store:
    """The store, which seals, opens and indexes as the settings say; its keyring is closed with it.

    Raises Invalid for settings that cannot be.
    """
    store.sealing = Sealing(open_vault(settings, store), wanted=settings.encryption)
    store.index = settings.index
    return store


def open_redis(settings: Settings, store: Store) -> Redis | None:
    """The Redis that the settings name, which need not answer. Raises Invalid for a URL that cannot be."""
    if settings.redis_url is None:
        return None
    key = settings.shared_key
    if key is None:
        key = store.transact(EVERY_TENANT, lambda tx: secret(tx, "cache"))
    return Redis(settings.redis_url.get_secret_value(), Seal(key))


def open_news(store: Store, redis: Redis | None) -> News:
    """How this process hears of the commits of others: by way of Redis, else of the database, else not at all."""
    channel = store.dialect.channel(store.url) if redis is None else RedisChannel(redis)
    return LocalNews() if channel is None else SharedNews(channel)


def vault_of(store: Store) -> Vault:
    """The vault that the store was opened with; it is closed with the store. Raises KeyLost where there is none."""
    if not isinstance(store.sealing, Sealing):
        raise KeyLost("no keyring was opened with the database; open it by its settings")
    return store.sealing.vault


def open_vault(settings: Settings, store: Store) -> Vault:
    """The vault of what the store keeps sealed, at rest. Raises Invalid for settings that cannot be."""
    return Vault(keyring_of(settings, store.url))


def keyring_of(settings: Settings, url: str) -> Keyring:
    """The keyring that belongs to the database at `url`, at rest. Raises Invalid where it is the same file."""
    given = None
    if settings.master_key_file is not None:
        given = GivenFile(settings.master_key_file.expanduser())
    elif settings.master_key is not None:
        given = Given(settings.master_keys)
    keys = settings.keyring_url or keyring.default_url(url)
    if keyring.is_same_file(keys, url):
        # Who writes to a file would wait for itself.
        raise Invalid("keyring_url is the database itself; name another file, or unset it", field="keyring_url")
    return Keyring(keys, given, settings.kms)


def copy_keys(settings: Settings, source: str, target: str) -> int:
    """What is sealed in one database can be opened in the other as well, once it is there; how many keys were copied.

    None where both have one keyring. Raises Conflict when the target's keyring has other keys of the same users.
    """
    with closing(keyring_of(settings, source)) as ours, closing(keyring_of(settings, target)) as theirs:
        return 0 if ours.url == theirs.url or ours.look() is None else ours.copy_to(theirs)


def limits_of(settings: Settings) -> Limits:
    """What an append may be, and what it sets in motion."""
    return Limits(idle_ms=int(settings.idle_s * 1000), turn_bytes=settings.max_turn_bytes, ttl_s=settings.ttl_s)
