"""The features of a grid on a cluster: extracted in shards that runs wait for."""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from bench.cluster.pool import Call, Cluster, Ended, Need
from bench.cluster.worker import Site, extract_feature, without_audio
from bench.contracts.feature import Feature
from bench.data.corpus import Corpus

SHARD_CLIPS = 32  # the fewest clips whose feature is worth a call of its own


class Features:
    """The features that runs read. Each feature of a clip is extracted by one call alone."""

    def __init__(self, cluster: Cluster, site: Site) -> None:
        self.cluster = cluster
        self.site = site
        # by the feature's fingerprint and the corpus's id: the feature, the corpus, its clips
        self.wanted: dict[tuple[str, int], tuple[Feature, Corpus, set[str]]] = {}
        self.awaits: dict[tuple[str, int], set[int]] = {}  # by the same key: the shards
        self.pending: set[int] = set()  # shards under way
        self.lost: dict[int, str] = {}  # shard -> why no worker could extract it
        self.references: dict[int, Any] = {}  # corpora in Ray's object store, by id
        # by the feature's fingerprint and a clip's content: the shard that extracts it
        self._shards: dict[tuple[str, str], int] = {}

    def want(self, features: Iterable[Feature], corpus: Corpus, clips: Collection[str]) -> None:
        """Ask for features of some clips; those that are not cached are computed by each run."""
        for feature in features:
            if feature.cached:
                key = (feature.fingerprint, id(corpus))
                _, _, wanted = self.wanted.setdefault(key, (feature, corpus, set()))
                wanted.update(clips)

    def start(self, need: Need, slots: int) -> None:
        """Start the extraction of what is wanted and missing, in `slots` calls per feature.

        The audio for it is put where every node can read it.
        """
        corpora = {id(corpus): corpus for _, corpus, _ in self.wanted.values()}
        for corpus in corpora.values():
            self.site.cache.share(set(corpus.content.values()))
        for key, (feature, corpus, clips) in self.wanted.items():
            owners = {corpus.content[clip]: clip for clip in sorted(clips)}
            self._start_feature(feature, corpus, owners, need, slots)
            shards = [self._shards.get((feature.fingerprint, content)) for content in owners]
            self.awaits[key] = {shard for shard in shards if shard is not None}

    def end(self, ended: Ended) -> None:
        """Register the end of a shard.

        A shard that raised an error is tried again by the runs, which report the reason.
        """
        shard = ended.call.key
        self.pending.discard(shard)
        if ended.lost:
            feature = type(ended.call.arguments[1]).__name__
            self.lost[shard] = f"{feature} could not be extracted: {ended.lost}"

    def awaited(self, features: Iterable[Feature], corpus: Corpus) -> set[int]:
        """The shards that a run with these features depends on."""
        shards: set[int] = set()
        for feature in features:
            shards.update(self.awaits.get((feature.fingerprint, id(corpus)), ()))
        return shards

    def sent(self, corpus: Corpus) -> Any:
        """The corpus as an argument of calls, without its recordings."""
        if id(corpus) not in self.references:
            every = [clip.id for clip in corpus.clips]
            self.references[id(corpus)] = self.cluster.share(without_audio(corpus, every))
        return self.references[id(corpus)]

    def _start_feature(
        self, feature: Feature, corpus: Corpus, owners: dict[str, str], need: Need, slots: int
    ) -> None:
        """`owners`: content -> a clip that has it."""
        mark = feature.fingerprint
        new = [content for content in owners if (mark, content) not in self._shards]
        self.site.cache.share(new, mark)
        missing = self.site.cache.lacking(mark, new)
        shards = min(slots, math.ceil(len(missing) / SHARD_CLIPS))
        for first in range(shards):
            contents = missing[first::shards]
            clips = [owners[content] for content in contents]
            shard = self._start_shard(feature, corpus, clips, need)
            for content in contents:
                self._shards[mark, content] = shard

    def _start_shard(
        self, feature: Feature, corpus: Corpus, clips: Sequence[str], need: Need
    ) -> int:
        shard = len(self.pending)
        self.pending.add(shard)
        arguments = (self.site, feature, without_audio(corpus, clips))
        self.cluster.start(Call(extract_feature, arguments, need, shard))
        return shard
