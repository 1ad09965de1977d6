"""Files that others only see whole."""

import threading

import pytest

from scaling_jax._files import write_whole

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
