import torch
from torch.nn.functional import kl_div, log_softmax

from clinprompt.maths.distillation import hidden_distance, logit_divergence, member_means


def test_divergence_is_the_textbook_one_with_the_teacher_first():
    torch.manual_seed(0)
    student, teacher, T = torch.randn(6, 11), torch.randn(6, 11), 2.5
    expected = kl_div(
        log_softmax(student / T, -1), log_softmax(teacher / T, -1), log_target=True, reduction="none"
    ).sum(-1)
    torch.testing.assert_close(logit_divergence(student, teacher, temperature=T), T * T * expected)
    turned = logit_divergence(teacher, student, temperature=T)
    assert not torch.allclose(turned, T * T * expected)


def test_divergence_of_equals_is_zero_and_has_no_gradient():
    logits = torch.randn(3, 5, requires_grad=True)
    value = logit_divergence(logits, logits.detach(), temperature=2.0).sum()
    value.backward()
    assert abs(value.item()) < 1e-6
    assert logits.grad.abs().max() < 1e-6


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
