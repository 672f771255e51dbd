"""The features of a grid on a cluster: what is missing, cut into shards that nodes make while runs
wait for them.
"""

import math
from collections.abc import Collection, Iterable
from typing import Any

from bench.cluster import worker as node
from bench.cluster.pool import Call, Cluster, Ended, Need
from bench.contracts.feature import Feature
from bench.data.corpus import Corpus

SHARD_CLIPS = 32  # the fewest clips whose feature is worth a call of its own


class Features:
    """The features that runs read: each of a clip wanted by many, made by one."""

    def __init__(self, cluster: Cluster, site: node.Site) -> None:
        self.cluster, self.site = cluster, site
        self.wanted: dict[tuple[str, int], tuple[Feature, Corpus, set[str]]] = {}
        self.awaits: dict[tuple[str, int], set[int]] = {}  # shards
        self.pending: set[int] = set()
        self.lost: dict[int, str] = {}  # shard -> why nobody could make it
        self.references: dict[int, Any] = {}

    def want(self, features: Iterable[Feature], corpus: Corpus, clips: Collection[str]) -> None:
        for feature in (f for f in features if f.cached):
            key = (feature.fingerprint, id(corpus))
            self.wanted.setdefault(key, (feature, corpus, set()))[2].update(clips)

    def start(self, need: Need, slots: int) -> None:
        """Start the making of all that is wanted and not there, `slots` calls for a feature at
        once.

        The audio for it is put where every node finds it.
        """
        maker: dict[tuple[str, str], int] = {}  # feature and content -> shard
        for corpus in {id(corpus): corpus for _, corpus, _ in self.wanted.values()}.values():
            self.site.cache.share(set(corpus.content.values()))
        for key, (feature, corpus, clips) in self.wanted.items():
            owners = {corpus.content[clip]: clip for clip in sorted(clips)}
            new = [content for content in owners if (feature.fingerprint, content) not in maker]
            self.site.cache.share(new, feature.fingerprint)
            lacking = self.site.cache.lacking(feature.fingerprint, new)
            shards = min(slots, math.ceil(len(lacking) / SHARD_CLIPS))
            for part in (lacking[i::shards] for i in range(shards)):
                number = len(self.pending)
                self.pending.add(number)
                maker |= {(feature.fingerprint, content): number for content in part}
                some = node.part(corpus, [owners[content] for content in part])
                self.cluster.start(Call(node.make, (self.site, feature, some), need, number))
            self.awaits[key] = {
                maker[found]
                for content in owners
                if (found := (feature.fingerprint, content)) in maker
            }

    def end(self, ended: Ended) -> None:
        """Take note of a shard's end. One that failed by itself is tried again by the runs, which
        say why.
        """
        self.pending.discard(ended.call.key)
        if ended.lost:
            self.lost[ended.call.key] = (
                f"{type(ended.call.arguments[1]).__name__} could not be made: {ended.lost}"
            )

    def awaited(self, features: Iterable[Feature], corpus: Corpus) -> set[int]:
        """The shards that a run has to wait for."""
        return {
            n
            for feature in features
            for n in self.awaits.get((feature.fingerprint, id(corpus)), ())
        }

    def sent(self, corpus: Corpus) -> Any:
        """The corpus as calls are given it."""
        if id(corpus) not in self.references:
            self.references[id(corpus)] = self.cluster.share(
                node.part(corpus, [clip.id for clip in corpus.clips])
            )
        return self.references[id(corpus)]
