import pytest

from clinprompt.evaluation.trivial import LEAD_WORDS, trivial_name, trivial_predictions
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import catalog, load_task


def example(name, note, answer=None):
    return Example(id=name, inputs={"note": note}, answer=answer or Answer(), group=name)


def marked(note, **mentions):
    spans = [Span(label, ((note.index(words), note.index(words) + len(words)),)) for words, label in mentions.items()]
    return example(note, note, Answer(spans=tuple(spans)))


def found(task, train, note):
    [prediction] = trivial_predictions(task, train, [example("x", note)])
    assert prediction.example == "x"
    return [(span.label, span.surface(note)) for span in prediction.answer.spans]


def test_the_dictionary_finds_whole_words_the_longest_first_with_the_commonest_label():
    task = load_task("medications")
    train = [marked("iron", iron="drug"), marked("iron", iron="drug"), marked("iron", iron="dose")]
    train += [marked("iron sulfate", **{"iron sulfate": "drug"}), marked("5 mg", **{"5 mg": "dose"})]
    assert found(task, train, "irons, iron sulfate; iron (5 mg) 15 mg") == [
        ("drug", "iron sulfate"),
        ("drug", "iron"),
        ("dose", "5 mg"),
    ]
    assert found(task, [example("y", "iron")], "iron") == []


def test_mentions_with_signs_of_regular_expressions_are_plain_text():
    assert found(load_task("medications"), [marked("a+ (b)", **{"a+ (b)": "drug"})], "aa a+ (b)") == [
        ("drug", "a+ (b)")
    ]


def test_the_commonest_class_and_the_first_words():
    flag = load_task("lab-flag")
    train = [example(str(i), "n", Answer(label=label)) for i, label in enumerate(["low", "high", "low"])]
    [prediction] = trivial_predictions(flag, train, [example("x", "n", Answer(label="high"))])
    assert prediction.answer == Answer(label="low")
    summary = load_task("impression")
    [prediction] = trivial_predictions(summary, [], [example("x", "w " * 60)])
    assert prediction.answer.text.split() == ["w"] * LEAD_WORDS


@pytest.mark.parametrize("name", catalog())
def test_every_task_of_the_catalogue_has_a_trivial_baseline(name):
    assert trivial_name(load_task(name))
