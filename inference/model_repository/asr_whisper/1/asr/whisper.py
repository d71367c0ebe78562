"""Whisper on CTranslate2: mel, encode, decode, guards, and a second try for what they reject."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from asr import batching, guards, mel, memory, segments, tails, vocabulary, words
from asr.config import Config
from asr.engine import Transcript, Window
from asr.options import AUTO, Options
from asr.vocabulary import Vocabulary

# Half of what the decoder holds is Whisper's own limit for one text; the prompt has the other half.
MAX_NEW_TOKENS = vocabulary.CONTEXT_TOKENS // 2


@dataclass(frozen=True)
class Strategy:
    """One way of decoding; later ones are for windows whose text the guards rejected."""

    cures: frozenset[guards.Fault]
    temperature: float = 0.0
    min_beam: int = 1
    min_bucket_seconds: int = 0


FIRST = Strategy(cures=frozenset())
RETRIES = (
    # A wider beam in the 30 s shape the model was trained on cures most loops and is repeatable.
    Strategy(cures=guards.LOOPS | guards.DOUBTS, min_beam=5, min_bucket_seconds=30),
    # Sampling breaks what is left; it would only change the words of an unclear text.
    Strategy(cures=guards.LOOPS, temperature=0.4, min_bucket_seconds=30),
)


@dataclass(frozen=True, eq=False)
class _Task:
    window: Window
    key: batching.Key
    prompt: list[int]

    @property
    def duration_seconds(self) -> float:
        return len(self.window.pcm) / mel.SAMPLE_RATE_HZ


@dataclass(frozen=True)
class _Language:
    code: str
    confidence: float | None = None


class WhisperEngine:
    """A loaded model; `transcribe` is called from one thread."""

    def __init__(self, config: Config) -> None:
        self._is_cpu = config.device == "cpu"
        if self._is_cpu:
            memory.keep_freed_memory()
        self._model = ctranslate2.models.Whisper(
            str(config.model),
            device=config.device,
            compute_type=config.compute_type,
            inter_threads=config.workers,
            intra_threads=1 if self._is_cpu else 0,
        )
        self._workers = config.workers
        self._pool = ThreadPoolExecutor(config.workers, thread_name_prefix="decode")
        self._mel = mel.MelExtractor(self._model.n_mels)
        self._vocabulary = Vocabulary(config.model, is_multilingual=self._model.is_multilingual)
        self.name = config.name
        self.digest = _hash_file(config.model / "model.bin")

    def check(self, options: Options) -> None:
        """Raise InvalidWindow for options this model cannot follow."""
        self._vocabulary.build_prompt(options)

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
        """Transcribe all, in order; None for a window cancelled before its turn."""
        results = self._transcribe_guarded(windows)
        rests = [
            (i, start)
            for i, result in enumerate(results)
            if result and (start := tails.find_tail(windows[i], result)) is not None
        ]
        found = self._transcribe_guarded([tails.cut_tail(windows[i], start) for i, start in rests])
        for (index, start), rest in zip(rests, found, strict=True):
            result = results[index]
            if result and rest:
                results[index] = tails.append_tail(result, rest, start)
        return results

    def _transcribe_guarded(self, windows: Sequence[Window]) -> list[Transcript | None]:
        attempts: list[list[guards.Attempt]] = [[] for _ in windows]
        for strategy in (FIRST, *RETRIES):
            chosen = [i for i, made in enumerate(attempts) if _is_for(strategy, made)]
            for index, attempt in self._decode_all(windows, chosen, strategy):
                attempts[index].append(attempt)
        return [guards.choose(made) if made else None for made in attempts]

    def _decode_all(
        self, windows: Sequence[Window], chosen: Sequence[int], strategy: Strategy
    ) -> list[tuple[int, guards.Attempt]]:
        """Decode the `chosen` windows on all workers; cancelled ones are left out."""
        tasks = [self._plan(windows[index], strategy) for index in chosen]
        batches = batching.plan_batches(
            [task.key for task in tasks], [task.duration_seconds for task in tasks], self._workers
        )
        jobs = [
            self._pool.submit(self._decode_batch, [(chosen[i], tasks[i]) for i in batch], strategy)
            for batch in batches
        ]
        wait(jobs)  # if one fails, the others shall not run on beside the next try
        return [numbered for job in jobs for numbered in job.result()]

    def _plan(self, window: Window, strategy: Strategy) -> _Task:
        prompt = self._vocabulary.build_prompt(window.options)
        bucket = batching.choose_bucket(len(window.pcm) / mel.SAMPLE_RATE_HZ)
        key = batching.Key(
            bucket_seconds=max(bucket, strategy.min_bucket_seconds),
            timestamps=window.options.timestamps,
            # Sampling and beams exclude each other.
            beam=1 if strategy.temperature else max(window.options.beam, strategy.min_beam),
            prompt_tokens=len(prompt),
            words=window.options.words,
        )
        return _Task(window, key, prompt)

    def _decode_batch(
        self, numbered: list[tuple[int, _Task]], strategy: Strategy
    ) -> list[tuple[int, guards.Attempt]]:
        live = [(i, task) for i, task in numbered if not task.window.is_cancelled()]
        if not live:
            return []
        tasks = [task for _, task in live]
        encoded = self._encode(tasks)
        prompts, languages = self._choose_languages(tasks, encoded)
        limit = _max_new_tokens(tasks)
        outputs = self._model.generate(
            encoded,
            prompts,
            beam_size=tasks[0].key.beam,
            max_length=_plan_max_length(limit, prompt_tokens=len(prompts[0])),
            return_scores=True,
            return_no_speech_prob=True,
            sampling_topk=0 if strategy.temperature else 1,
            sampling_temperature=strategy.temperature or 1.0,
        )
        attempts = [
            self._judge(task, output, language, strategy, limit, len(live))
            for task, output, language in zip(tasks, outputs, languages, strict=True)
        ]
        if tasks[0].key.words:
            attempts = self._add_words(attempts, encoded, tasks)
        return [(index, attempt) for (index, _), attempt in zip(live, attempts, strict=True)]

    def _encode(self, tasks: Sequence[_Task]) -> ctranslate2.StorageView:
        frames = tasks[0].key.bucket_seconds * mel.FRAMES_PER_SECOND
        features = [self._mel.extract(task.window.pcm, frames) for task in tasks]
        if self._is_cpu:
            # One by one: as fast there, and the attention of a batch of 30 s needs 54 MB for each.
            encoded = [np.asarray(self._encode_features(one[None])) for one in features]
            return ctranslate2.StorageView.from_array(np.concatenate(encoded))
        return self._encode_features(np.stack(features))

    def _encode_features(self, features: mel.Float32) -> ctranslate2.StorageView:
        return self._model.encode(ctranslate2.StorageView.from_array(features))

    def _choose_languages(
        self, tasks: Sequence[_Task], encoded: ctranslate2.StorageView
    ) -> tuple[list[list[int]], list[_Language]]:
        """The prompts with detected languages put in where the client asked for that."""
        wanted = [task.window.options.language for task in tasks]
        prompts = [task.prompt for task in tasks]
        languages = [_Language(self._vocabulary.resolve_language(tag)) for tag in wanted]
        if self._vocabulary.is_multilingual and AUTO in wanted:
            for index, candidates in enumerate(self._model.detect_language(encoded)):
                if wanted[index] == AUTO:
                    token, confidence = candidates[0]
                    languages[index] = _Language(token.strip("<|>"), confidence)
                    prompts[index] = self._vocabulary.with_language(prompts[index], token)
        return prompts, languages

    def _judge(
        self,
        task: _Task,
        output: Any,
        language: _Language,
        strategy: Strategy,
        limit: int,
        batch: int,
    ) -> guards.Attempt:
        tokens = output.sequences_ids[0]
        begin, duration = self._vocabulary.timestamp_begin, task.duration_seconds
        unfinished = None
        if len(tokens) >= limit and task.key.timestamps:
            unfinished = segments.find_unfinished(
                tokens, timestamp_begin=begin, duration_seconds=duration
            )
        transcript = Transcript(
            segments=segments.parse_segments(
                tokens,
                timestamp_begin=begin,
                duration_seconds=duration,
                decode=self._vocabulary.decode,
            ),
            unfinished_from=unfinished,
            # CTranslate2 divides by the length without the end token, Whisper counts it.
            avg_logprob=output.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech_prob=output.no_speech_prob,
            temperature=strategy.temperature,
            language=language.code,
            language_confidence=language.confidence,
            batch=batch,
        )
        evidence = guards.Evidence(
            text=transcript.text,
            tokens=[token for token in tokens if token < self._vocabulary.end_of_text],
            duration_seconds=task.duration_seconds,
            avg_logprob=transcript.avg_logprob,
            no_speech_prob=transcript.no_speech_prob,
        )
        return guards.Attempt(transcript, guards.find_fault(evidence))

    def _add_words(
        self,
        attempts: Sequence[guards.Attempt],
        encoded: ctranslate2.StorageView,
        tasks: Sequence[_Task],
    ) -> list[guards.Attempt]:
        """Align each window's text with its audio; one pass per language in the batch."""
        texts = [
            [token for segment in attempt.transcript.segments for token in segment.tokens]
            for attempt in attempts
        ]
        frames = [round(task.duration_seconds * mel.FRAMES_PER_SECOND) for task in tasks]
        aligned = {
            language: self._model.align(
                encoded, self._vocabulary.build_start(language), texts, frames
            )
            for language in {attempt.transcript.language for attempt in attempts}
        }
        return [
            self._put_words(attempt, text, aligned[attempt.transcript.language][index])
            for index, (attempt, text) in enumerate(zip(attempts, texts, strict=True))
        ]

    def _put_words(
        self, attempt: guards.Attempt, tokens: Sequence[int], found: Any
    ) -> guards.Attempt:
        transcript = attempt.transcript
        alignment = words.Alignment(found.alignments, found.text_token_probs)
        parts = self._vocabulary.split_words(tokens, transcript.language)
        segmented = words.add_words(transcript.segments, parts, alignment)
        return replace(attempt, transcript=replace(transcript, segments=segmented))


def _is_for(strategy: Strategy, made: Sequence[guards.Attempt]) -> bool:
    return strategy is FIRST if not made else made[-1].fault in strategy.cures


def _max_new_tokens(tasks: Sequence[_Task]) -> int:
    """A limit that the longest window of the batch cannot need; ends a loop early."""
    seconds = max(task.duration_seconds for task in tasks)
    timestamps = 2 + 2 * int(seconds) if tasks[0].key.timestamps else 0
    return min(MAX_NEW_TOKENS, guards.max_text_tokens(seconds) + timestamps + 1)


def _plan_max_length(new_tokens: int, *, prompt_tokens: int) -> int:
    """What lets CTranslate2 write `new_tokens`: it stops at half of its `max_length`, or where
    prompt and text together reach it, whichever is less."""
    return max(2 * new_tokens, prompt_tokens + new_tokens)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
