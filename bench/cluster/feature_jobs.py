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

    def want(
        self, features: Iterable[Feature], corpus: Corpus, clips: Collection[str]
    ) -> None:
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
        self._share_audio()
        for key, (feature, corpus, clips) in self.wanted.items():
            owners: dict[str, str] = {}
            for clip in sorted(clips):
                content = corpus.content[clip]
                owners[content] = clip
            self._start_feature(feature, corpus, owners, need, slots)
            self.awaits[key] = self._shards_of(feature, owners)

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
        key = id(corpus)
        if key not in self.references:
            every = [clip.id for clip in corpus.clips]
            metadata = without_audio(corpus, every)
            self.references[key] = self.cluster.share(metadata)
        return self.references[key]

    def lost_reason(self, shards: Iterable[int]) -> str:
        """Why one of the shards is lost; empty if none is."""
        for shard in shards:
            if shard in self.lost:
                return self.lost[shard]
        return ""

    def _share_audio(self) -> None:
        corpora: dict[int, Corpus] = {}
        for _, corpus, _ in self.wanted.values():
            corpora[id(corpus)] = corpus
        for corpus in corpora.values():
            contents = set(corpus.content.values())
            self.site.cache.share(contents)

    def _shards_of(self, feature: Feature, contents: Iterable[str]) -> set[int]:
        """The shards that extract a feature of these contents; none for what is cached."""
        shards = set()
        for content in contents:
            key = (feature.fingerprint, content)
            if key in self._shards:
                shards.add(self._shards[key])
        return shards

    def _start_feature(
        self,
        feature: Feature,
        corpus: Corpus,
        owners: dict[str, str],
        need: Need,
        slots: int,
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
