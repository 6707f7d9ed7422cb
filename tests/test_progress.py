"""Stages of a job, timed."""

import itertools

import pytest

from quantmcu.progress import SilentProgress, StageClock


class Heard(SilentProgress):
    def __init__(self):
        self.stages = []
        self.notes = []

    def stage(self, name):
        self.stages.append(name)

    def note(self, text):
        self.notes.append(text)


def test_a_stage_within_another_counts_by_itself_only(monkeypatch):
    monkeypatch.setattr("quantmcu.progress.time.perf_counter", itertools.count().__next__)  # a second a look
    clock = StageClock(heard := Heard())
    with clock.stage("outer"):
        with clock.stage("inner"):
            pass
        with clock.stage("inner"):
            pass
    with clock.stage("last"):
        pass
    assert clock.seconds == {"outer": 3, "inner": 2, "last": 1}
    assert heard.stages == ["outer", "inner", "outer", "inner", "outer", "last"]


def test_the_time_of_a_stage_that_fails_counts_too(monkeypatch):
    monkeypatch.setattr("quantmcu.progress.time.perf_counter", itertools.count().__next__)
    clock = StageClock(SilentProgress())
    with pytest.raises(ValueError, match="no"), clock.stage("outer"), clock.stage("inner"):
        raise ValueError("no")
    assert clock.seconds == {"outer": 2, "inner": 1}


def test_a_note_is_said_once():
    clock = StageClock(heard := Heard())
    for text in ("a", "b", "a"):
        clock.note(text)
    assert clock.notes == heard.notes == ["a", "b"]
