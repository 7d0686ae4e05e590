"""Dialogues are numbered anew in each file: their groups are not."""

from clinprompt.data.readers import mts_dialog

HEAD = "ID,section_header,section_text,dialogue\n"


def test_the_same_number_in_two_files_is_two_groups(tmp_path):
    groups = []
    for name in ("TrainingSet", "TestSet"):
        file = tmp_path / f"{name}.csv"
        file.write_text(HEAD + "0,CC,Knee pain.,Doctor: Where?\n1,CC,None.,Doctor: Else?\n", encoding="utf-8")
        found = mts_dialog.read(file)
        assert [example.id for example in found] == ["0", "1"]
        groups += [example.group for example in found]
    assert groups == ["TrainingSet 0", "TrainingSet 1", "TestSet 0", "TestSet 1"]
