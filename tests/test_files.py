"""Files that others only see whole."""

import errno
import os
import threading

import pytest

from scaling_jax._files import named, write_whole

TEXTS = {letter: letter * 100_000 for letter in "abc"}


def test_several_writers_and_a_reader_see_whole_files(tmp_path):
    path = tmp_path / "record.json"
    write_whole(path, TEXTS["a"])

    def write(text):
        for _ in range(50):
            write_whole(path, text)

    writers = [threading.Thread(target=write, args=(text,)) for text in TEXTS.values()]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        text = path.read_text()
        assert text == TEXTS[text[0]]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "record.json"
    write_whole(path, "whole")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "begun " * 10_000 + "\ud800")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_with_what_did_not_fit(tmp_path):
    path = tmp_path / "record.json"
    with pytest.raises(OSError, match=rf"No space left on device: '{path}'"), named(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
