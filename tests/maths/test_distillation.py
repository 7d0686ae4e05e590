import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import kl_div, log_softmax

from clinprompt.maths.distillation import edge_divergence, hidden_distance, logit_divergence, member_means, soften


def textbook(student, teacher, T):
    target, found = log_softmax(teacher / T, -1), log_softmax(student / T, -1)
    return T * T * kl_div(found, target, log_target=True, reduction="none").sum(-1)


@st.composite
def pairs(draw):
    """Logits ``[A, V]`` of a student and its teacher, from flat to very sure, and a temperature."""
    A, V, seed = draw(st.integers(1, 4)), draw(st.integers(2, 12)), draw(st.integers(0, 999))
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, A, V, generator=generator, dtype=torch.float64) * draw(st.floats(0, 30))
    return student, teacher, draw(st.floats(0.3, 5))


def divergence_and_gradient(student, teacher, T, top_k):
    leaf = student.clone().requires_grad_()
    value = logit_divergence(leaf, soften(teacher, temperature=T, top_k=top_k), temperature=T)
    value.sum().backward()
    return value.detach(), leaf.grad


@given(pair=pairs(), extra=st.sampled_from([None, 0, 3]))
def test_divergence_is_the_textbook_one_with_the_teacher_first_when_nothing_is_left_out(pair, extra):
    student, teacher, T = pair
    top_k = None if extra is None else student.shape[-1] + extra
    value, gradient = divergence_and_gradient(student, teacher, T, top_k)
    leaf = student.clone().requires_grad_()
    expected = textbook(leaf, teacher, T)
    expected.sum().backward()
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, leaf.grad)


@given(pair=pairs(), data=st.data())
def test_tokens_left_out_count_as_one_and_never_raise_the_divergence(pair, data):
    student, teacher, T = pair
    V = student.shape[-1]
    top_k = data.draw(st.integers(1, V - 1))
    value, gradient = divergence_and_gradient(student, teacher, T, top_k)
    expected = torch.zeros_like(value)
    for a in range(len(student)):
        p, q = (teacher[a] / T).softmax(-1), (student[a] / T).softmax(-1)
        order = teacher[a].argsort(descending=True)
        kept, rest = order[:top_k], order[top_k:]
        merged = [torch.cat([x[kept], x[rest].sum()[None]]).clamp_min(1e-300) for x in (p, q)]
        expected[a] = T * T * (merged[0] * (merged[0].log() - merged[1].log())).sum()
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    assert (value <= textbook(student, teacher, T) + 1e-9).all()
    assert (value >= -1e-9).all() and gradient.isfinite().all()
    if V - top_k == 1:  # one token alone is as good as kept
        torch.testing.assert_close(value, textbook(student, teacher, T), rtol=1e-6, atol=1e-9)


def test_the_gradient_of_a_truncated_divergence_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kept = soften(teacher, temperature=1.7, top_k=3)
    assert torch.autograd.gradcheck(lambda x: logit_divergence(x, kept, temperature=1.7), student.requires_grad_())


def test_kept_probabilities_and_the_tail_are_those_of_the_whole_vocabulary():
    logits = torch.tensor([[3.0, -2.0, 1.0, 0.0]])
    found = soften(logits, temperature=2.0, top_k=2)
    p = (logits / 2).softmax(-1)[0]
    assert found.tokens.tolist() == [[0, 2]]
    torch.testing.assert_close(found.kept.exp(), p[[0, 2]][None])
    torch.testing.assert_close(found.tail.exp(), p[[1, 3]].sum()[None])


def test_a_tail_too_small_for_one_minus_the_rest_is_still_known():
    found = soften(torch.tensor([[60.0, 0.0, 0.0]]), temperature=1.0, top_k=1)
    torch.testing.assert_close(found.tail, torch.tensor([-60.0]) + torch.log(torch.tensor(2.0)))


def test_divergence_of_equals_is_zero_and_has_no_gradient():
    logits = torch.randn(3, 5)
    for top_k in (None, 2):
        value, gradient = divergence_and_gradient(logits, logits, 2.0, top_k)
        assert value.abs().max() < 1e-6 and gradient.abs().max() < 1e-6


@given(pair=pairs())
def test_the_divergence_of_edges_is_the_textbook_one_of_yes_or_no_with_the_teacher_first(pair):
    student, teacher, T = pair
    leaf = student.clone().requires_grad_()
    value = edge_divergence(leaf, teacher, temperature=T)
    # Yes with the logit x is one of two classes with the logits x and 0.
    expected = textbook(*(torch.stack([x, torch.zeros_like(x)], -1) for x in (student, teacher)), T).sum(-1)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    [gradient] = torch.autograd.grad(value.sum(), leaf)
    # The derivative by a logit is T (q - p).
    torch.testing.assert_close(gradient, T * ((student / T).sigmoid() - (teacher / T).sigmoid()), rtol=1e-6, atol=1e-9)


def test_the_divergence_of_very_sure_edges_is_finite_and_not_cut():
    found = edge_divergence(torch.tensor([[200.0, -200.0]]), torch.tensor([[-200.0, 200.0]]), temperature=1.0)
    torch.testing.assert_close(found, torch.tensor([400.0]))


def test_hidden_distance_is_relative_to_the_teacher():
    teacher = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(hidden_distance(teacher * 0, teacher), torch.tensor([1.0]))
    torch.testing.assert_close(hidden_distance(teacher * 20, teacher * 10), torch.tensor([1.0]))


def test_member_means_add_up_over_micro_batches():
    values, member = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0, 0, 2])
    counts = torch.tensor([2.0, 0.0, 1.0])
    whole = member_means(values, member, counts)
    parts = member_means(values[:1], member[:1], counts) + member_means(values[1:], member[1:], counts)
    torch.testing.assert_close(whole, torch.tensor([1.5, 0.0, 6.0]))
    torch.testing.assert_close(parts, whole)
