import pytest

from clinprompt.backbones.question_row import PairLayout, context_tokens, marked, question_row, spelled, token_places
from clinprompt.backbones.tiny_encoders import ENCODERS
from clinprompt.schema.formulated import SpanQuestion


@pytest.fixture(scope="module")
def tokenizers():
    return {family: made.tokenizer() for family, made in ENCODERS.items()}


def shown(tokenizer, context, **more):
    row = question_row(tokenizer, PairLayout.of(tokenizer), SpanQuestion("drug", "which", context, **more), name="x")
    return [place and context[slice(*place)] for place in row.places], row


def test_the_blank_that_a_byte_level_token_takes_along_is_no_part_of_its_place(tokenizers):
    for family in ("roberta", "modernbert"):
        words, _ = shown(tokenizers[family], "the patient took aspirin")
        assert [word for word in words if word][-3:] == ["patient", "took", "aspirin"]


def test_the_bytes_of_a_letter_share_its_place_and_an_answer_takes_them_all(tokenizers):
    words, row = shown(tokenizers["roberta"], "µg", answers=((0, 1), (1, 2), (0, 2)))
    assert words == ["µ", "µ", "g"] and row.gold == ((0, 1), (2, 2), (0, 2)) and row.lost == 0


def test_accents_that_a_normaliser_strips_belong_to_the_letter_before(tokenizers):
    context = "a cafe\u0301 e\u0301"
    words, row = shown(tokenizers["bert"], context, answers=((2, 7), (8, 10)))
    assert words == ["a", "c", "a", "f", "e\u0301", "e\u0301"] and row.lost == 0


def test_an_answer_inside_a_token_is_lost_and_counted(tokenizers):
    _, row = shown(tokenizers["bert"], "took aspirin", answers=((5, 12), (6, 12), (5, 8), (4, 12)))
    assert row.gold == ((1, 1),) and row.lost == 3


def test_a_head_has_marks_without_a_place_around_it():
    text, origin = marked("on aspirin, daily", (3, 10))
    assert text == "on * aspirin *, daily"
    assert [text[k] for k, at in enumerate(origin) if at is None] == ["*", " ", " ", "*"]
    assert [at for at in origin if at is not None] == list(range(17))


def test_a_token_of_a_mark_and_a_letter_keeps_the_letter():
    text, origin = marked("(x)", (1, 2))
    assert text == "(* x *)"
    assert token_places([(0, 2), (2, 4), (4, 7)], text, origin) == ((0, 1), (1, 2), (2, 3))


def test_a_text_that_a_vocabulary_spells_as_a_special_token_is_read_as_its_letters(tokenizers):
    tokenizer = tokenizers["deberta-v2"]
    assert tokenizer.sep_token_id in tokenizer("a[SEP]b", add_special_tokens=False, split_special_tokens=True).input_ids
    ids, offsets = spelled(tokenizer, "a[SEP]b [CLS]")
    assert not {tokenizer.sep_token_id, tokenizer.cls_token_id} & set(ids)
    assert {at for start, end in offsets for at in range(start, end)} == set(range(13))
    assert tokenizer.sep_token_id in spelled(tokenizer, "a[SEP]b", trusted=True)[0]


def test_the_layout_is_the_tokenizer_s_own(tokenizers):
    assert len(PairLayout.of(tokenizers["roberta"]).between) == 2
    assert len(PairLayout.of(tokenizers["bert"]).between) == 1
    assert PairLayout.of(tokenizers["bert"]).text_types == (0, 1)


def test_of_tokens_with_the_same_place_the_first_begins_and_the_last_ends(tokenizers):
    read = context_tokens(tokenizers["roberta"], "µg", None)
    assert read.places == ((0, 1), (0, 1), (1, 2))
    assert read.gold([(0, 1), (0, 2), (1, 1)]) == (((0, 1), (0, 2)), 1)


def test_a_context_is_tokenised_once_for_all_its_questions_and_each_head(tokenizers, monkeypatch):
    tokenizer, texts = tokenizers["bert"], []
    monkeypatch.setattr(
        "clinprompt.backbones.question_row.spelled",
        lambda given, text: texts.append(text) or spelled(given, text),
    )
    layout, context = PairLayout.of(tokenizer), "the patient took aspirin, and pain"
    asked = [(f"which {n}", head) for head in (None, (17, 24)) for n in range(3)]
    rows = [question_row(tokenizer, layout, SpanQuestion("x", q, context, head=h), name="x") for q, h in asked]
    context_tokens.cache_clear()
    alone = []
    for question, head in asked:
        context_tokens.cache_clear()
        alone.append(question_row(tokenizer, layout, SpanQuestion("x", question, context, head=head), name="x"))
    assert rows == alone
    marked_once = "the patient took * aspirin *, and pain"
    assert texts.count(context) == 1 + 3 and texts.count(marked_once) == 1 + 3
