"""An engine that nobody here wrote answers over HTTP as ours does in this process."""

from __future__ import annotations

from math import log1p

import pytest

from clinprompt.backbones.protocol import Generation, Placement
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import Request
from clinprompt.inference.predictor import CHECKED, Predictor, Question
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.schema.example import Answer, Example
from clinprompt.stages.configs import BackboneSettings, DecodingSettings
from clinprompt.stages.opened import open_backbone
from clinprompt.tasks.catalog import load_task
from tests.made_engine import made_checkpoint

NOTES = (
    "MEDICATIONS: aspirin 81 mg PO daily.",
    "Pt denies chest pain; <medications@1:0> and <eos> are words here.",
    "naïve 😀 µg\r\n\tβ-blocker",
)
SHORT = Generation(12)


def example(note, **inputs):
    return Example("note-1", {"note": note, **inputs}, Answer(), "note-1")


def questions(checkpoint):
    """Every note with every prompt and with none, in an order that mixes them."""
    prompts = [load_prompt(file) for file in checkpoint.files]
    found = [Question(example(note), load_task("medications")) for note in NOTES]
    for note in NOTES:
        for prompt in prompts:
            placement = Placement(prompt.card.placement)
            found.append(Question(example(note), prompt.card.task, prompt.vectors, placement, prompt.card.full_name))
    return found[::2] + found[1::2]


def both(checkpoint, url, **options):
    """Predictors of the same template: ours, and one whose engine is the server."""
    opened = checkpoint.engine(url)
    ours = Predictor(checkpoint.opened.backbone, opened.template, generation=SHORT, **options)
    return ours, Predictor(opened.backbone, opened.template, generation=SHORT, engine=opened.engine, **options)


def test_answers_are_those_of_our_engine_in_the_order_asked(checkpoint, server, url):
    ours, theirs = both(checkpoint, url)
    asked, seen = questions(checkpoint), []
    server.delay = 0.02
    found, expected = theirs.predict(asked, watch=seen.append), ours.predict(asked)
    assert [one.raw for one in found] == [one.raw for one in expected]
    assert [(one.answer, one.report) for one in found] == [(one.answer, one.report) for one in expected]
    assert len({one.raw for one in found}) > len(asked) // 2  # otherwise the order would not be tested
    assert sum(seen) == len(asked) and server.most_under_way > 1
    assert all(isinstance(body["prompt"], list) and body["temperature"] == 0 for body in server.asked)
    entities = next(one for one in found if one.provenance["task"] == "medications")
    assert entities.provenance["grounding"] == CHECKED and entities.provenance["engine"] == "openai"
    assert entities.provenance["backbone"] == expected[0].provenance["backbone"]
    assert entities.provenance["questions"] == "token ids" and len(entities.provenance["checkpoint"]) == 64


def test_an_answer_ends_where_a_stop_text_begins(checkpoint, server, url):
    ours, theirs = both(checkpoint, url)
    asked = questions(checkpoint)
    written = [one.raw for one in ours.predict(asked)]
    stop = next(text[3] for text in written if len(text) > 4 and "\ufffd" not in text[:5])
    for one in (ours, theirs):
        one.generation = Generation(12, stop=(stop,))
    expected = [one.raw for one in ours.predict(asked)]
    assert [one.raw for one in theirs.predict(asked)] == expected != written
    assert server.asked[-1]["stop"] == [stop]


@pytest.mark.parametrize("way", ["echo", "bias"])
def test_choices_are_scored_as_by_our_engine(way, checkpoint, server, url):
    server.scoring = (way,)
    ours, theirs = both(checkpoint, url, choices=True)
    assert theirs.engine.asking.scoring == {"echo": "echo", "bias": "forced"}[way]
    judge = load_task("medication-statements")
    asked = [
        Question(example(note, hypothesis="takes aspirin"), judge, *drawn)
        for note in NOTES[:1]
        for drawn in ((), *((q.vectors, q.placement, q.prompt_name) for q in questions(checkpoint)[1:3]))
    ]
    answers = [ours.possible(one) for one in asked]
    # The new tokens have a share of the probability, at most log(1 + new/old) per token: the same on the same table.
    whole = open_backbone(BackboneSettings(path=str(checkpoint.folder))).backbone
    expected = Predictor(whole, ours.template).likelihoods(asked, answers)
    found = theirs.likelihoods(asked, answers)
    for mine, values, alone in zip(found, expected, ours.likelihoods(asked, answers), strict=True):
        assert mine == pytest.approx(values, abs=1e-3)
        assert all(
            0 <= b - a <= len(text) * log1p(12 / 263) + 1e-3 for a, b, text in zip(mine, alone, answers[0], strict=True)
        )
    predicted = theirs.predict(asked)
    assert [one.answer for one in predicted] == [one.answer for one in ours.predict(asked)]
    assert predicted[0].provenance["decoding"] == "likeliest choice"


@pytest.mark.parametrize("scoring", [(), ("biased",)])
def test_log_probabilities_that_are_not_there_or_not_true_are_not_used(scoring, checkpoint, server, url):
    server.scoring = scoring
    opened = checkpoint.engine(url)
    assert not opened.engine.scores
    decoding = DecodingSettings(kind="choices")
    predictor = opened.predictor(decoding, tokens=8)
    question = Question(example(NOTES[0], hypothesis="takes aspirin"), load_task("medication-statements"))
    [found] = predictor.predict([question])
    assert found.provenance["decoding"] == "greedy, at most 8 tokens"
    assert any("choices were written greedily" in remark for remark in opened.remarks(decoding))
    with pytest.raises(InputError, match="no log-probabilities of given answers"):
        predictor.likelihoods([question], [(" yes",)])


def test_a_server_that_takes_text_only_gets_text_in_which_no_note_has_a_special_token(checkpoint, server, url):
    server.ids = False
    opened = checkpoint.engine(url)
    assert opened.engine.asking.form == "text" and not opened.engine.scores
    assert any("as text" in remark for remark in opened.remarks(DecodingSettings()))
    ours, theirs = both(checkpoint, url)
    plain = [one for one in questions(checkpoint) if "<" not in one.example.note]
    assert [one.raw for one in theirs.predict(plain)] == [one.raw for one in ours.predict(plain)]
    theirs.predict([one for one in questions(checkpoint) if "<" in one.example.note])
    texts = [body["prompt"] for body in server.asked[-4:]]
    assert all("< medications@1:0> and < eos> are words" in text for text in texts)
    assert sorted(text.count("<medications@1:0>") for text in texts) == [0, 0, 0, 1]


def test_what_the_api_cannot_do_is_refused(checkpoint, server, url):
    engine = checkpoint.engine(url).engine
    asked = questions(checkpoint)
    ours, _ = both(checkpoint, url)
    request = ours.request(next(one for one in asked if one.vectors is not None))
    with pytest.raises(InputError, match="beams"):
        engine.answers([request], Generation(4, beams=2))
    for name, words in (("", "without a name"), ("meds@1", "no prompt named 'meds@1'")):
        with pytest.raises(InputError, match=words):
            engine.answers([Request(request.row, request.vectors, request.placement, prompt=name)], SHORT)
    with pytest.raises(InputError, match="no beams"):
        checkpoint.engine(url).predictor(DecodingSettings(kind="beams"), tokens=4)
    assert engine.answers([], SHORT) == []


def test_a_question_that_the_engine_cuts_is_noticed(checkpoint, server, url):
    _, theirs = both(checkpoint, url)
    server.cut = 2
    with pytest.raises(InputError, match=r"has read \d+ of \d+ tokens") as caught:
        theirs.predict(questions(checkpoint)[:1])
    assert "aspirin" not in str(caught.value) and "note-1" in str(caught.value)


def test_an_engine_with_another_checkpoint_is_refused(checkpoint, server, url, tmp_path):
    """The same backbone and names, other numbers: the tokens are there, and mean something else."""
    other = made_checkpoint(tmp_path, seed=50)
    with pytest.raises(InputError, match="as it did when it was made"):
        other.engine(url)
    # The first prompt is right and another one is not.
    prompt = load_prompt(other.files[1])
    with pytest.raises(InputError, match="is another one: its reference differs"):
        checkpoint.engine(url).check(prompt, where="p")
    found = checkpoint.engine(url)
    wrong = found.checkpoint.prompts.prompts[1].model_copy(update={"card": prompt.card})
    with pytest.raises(InputError, match="impression@1 as it did"):
        found.engine.check(wrong, where="p")


def test_which_model_is_asked(checkpoint, server, url):
    assert checkpoint.engine(url).engine.asking.model == "served"
    server.models = ["other", "models/served"]
    assert checkpoint.engine(url).engine.asking.model == "models/served"
    server.models = ["one", "two"]
    with pytest.raises(InputError, match=r"holds 2 models.*Allowed: one, two.*--engine-model") as caught:
        checkpoint.engine(url)
    assert caught.value.where == url
    assert checkpoint.engine(url, model="two").engine.asking.model == "two"


def test_a_server_that_takes_neither_ids_nor_text(checkpoint, server, url):
    server.ids = server.texts = False
    with pytest.raises(InputError, match="neither as token ids nor as text") as caught:
        checkpoint.engine(url)
    assert "aspirin" not in str(caught.value)


def test_threads_share_an_engine(checkpoint, server, url):
    from concurrent.futures import ThreadPoolExecutor

    ours, theirs = both(checkpoint, url)
    asked = questions(checkpoint)
    expected = [one.raw for one in ours.predict(asked)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: theirs.predict(asked), range(4)):
            assert [one.raw for one in found] == expected


def test_log_probabilities_of_what_was_written_and_how_it_is_drawn(checkpoint, server, url):
    ours, theirs = both(checkpoint, url)
    request = ours.request(questions(checkpoint)[1])
    [expected], [found] = ([*one.engine.answers([request], SHORT)] for one in (ours, theirs))
    assert (found.text, found.tokens) == (expected.text, expected.tokens)
    assert found.chances == pytest.approx(expected.chances, abs=log1p(12 / 263) + 1e-3)
    theirs.engine.answers([request], Generation(3, temperature=0.7, top_p=0.9, seed=4))
    drawn = server.asked[-1]
    assert (drawn["temperature"], drawn["top_p"], drawn["seed"]) == (0.7, 0.9, 4) and "seed" not in server.asked[-2]
