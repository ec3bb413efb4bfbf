"""Reads a formula in the notation of LaTeX into a tree of strings, which a typesetter needs not interpret.

Only what lectures use most: fractions, roots, indices, powers, Greek letters, signs and names of functions. Whoever
gets a FormulaError shows the formula as it is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Node = str | list["Node | None"]
"""A text, or its kind and its parts: row, var, text, frac, root, op, attach (base, below, above), and signs.

The kind of a sign is its class, which gives its distance to others: relation, binary, large.
"""

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}^_]|[^\W\d_]|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
_MOST_TOKENS = 400
_DEEPEST = 20
_GREEK = (
    "alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π rho ρ "
    "sigma σ tau τ upsilon υ phi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Phi Φ Psi Ψ "
    "Omega Ω varepsilon ε vartheta ϑ varphi φ"
)
_SIGNS = (
    "cdot · times × div ÷ pm ± mp ∓ leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ equiv ≡ sim ∼ propto ∝ infty ∞ partial ∂ "
    "nabla ∇ sum ∑ prod ∏ int ∫ in ∈ notin ∉ subset ⊂ subseteq ⊆ cup ∪ cap ∩ forall ∀ exists ∃ to → rightarrow → "
    "leftarrow ← Rightarrow ⇒ leftrightarrow ↔ mapsto ↦ ldots … dots … cdots ⋯ langle ⟨ rangle ⟩ mid ∣ emptyset ∅ "
    "wedge ∧ vee ∨ neg ¬ circ ∘ star ⋆ ell ℓ hbar ℏ prime ′ top ⊤ perp ⊥ oplus ⊕ otimes ⊗ odot ⊙ ll ≪ gg ≫"
)


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_SYMBOLS = _pairs(_GREEK) | _pairs(_SIGNS)
_NAMES = "sin cos tan log ln exp min max lim det arg sup inf argmin argmax Pr gcd mod softmax"
_FUNCTIONS = frozenset(_NAMES.split())
_TEXTS = frozenset({"text", "mathrm", "mathbf", "mathit", "mathcal", "mathbb", "operatorname", "textbf", "boldsymbol"})
_IGNORED = frozenset({"left", "right", "big", "Big", "bigl", "bigr", "displaystyle", "limits", "quad", "qquad"})
_SPACES = frozenset({"\\,", "\\;", "\\:", "\\!", "\\ "})


class FormulaError(ValueError):
    """The formula has something that is not read here."""


def parsed(formula: str) -> Node:
    """The tree of a formula. Raises FormulaError."""
    tokens = [match[0] for match in _TOKEN.finditer(formula.strip().strip("$").strip())]
    if len(tokens) > _MOST_TOKENS:
        raise FormulaError("it is too long")
    reader = _Reader([token for token in tokens if not token.isspace()])
    row = reader.row(0)
    if reader.tokens[reader.at :]:
        raise FormulaError("a brace closes nothing")
    if len(row) == 1:
        raise FormulaError("it is empty")
    return row


@dataclass
class _Reader:
    tokens: list[str] = field(default_factory=list[str])
    at: int = 0

    def row(self, depth: int) -> list[Node | None]:
        """What comes up to the next closing brace, or to the end."""
        if depth > _DEEPEST:
            raise FormulaError("it is nested too deeply")
        found: list[Node | None] = ["row"]
        while self.at < len(self.tokens) and self.tokens[self.at] != "}":
            token = self.tokens[self.at]
            if token.removeprefix("\\") in _IGNORED or token in _SPACES:
                self.at += 1
                continue
            base: Node = "" if token in "^_" else self._atom(depth)
            found.append(self._attached(base, depth))
        return found

    def _attached(self, base: Node, depth: int) -> Node:
        below: Node | None = None
        above: Node | None = None
        while self.at < len(self.tokens) and self.tokens[self.at] in ("^", "_"):
            mark = self._take()
            part = self._atom(depth)
            if mark == "^":
                above = part
            else:
                below = part
        return base if below is None and above is None else ["attach", base, below, above]

    def _atom(self, depth: int) -> Node:
        token = self._take()
        if token == "{":
            row = self.row(depth + 1)
            if self._take() != "}":
                raise FormulaError("a brace is not closed")
            return row
        if token in ("}", "^", "_", "&") or token == "\\\\":
            raise FormulaError(f"{token!r} stands where nothing can")
        return self._command(token[1:], depth) if token[0] == "\\" else _sign(token)

    def _command(self, name: str, depth: int) -> Node:
        if name in ("frac", "dfrac", "tfrac"):
            return ["frac", self._atom(depth), self._atom(depth)]
        if name == "sqrt":
            return ["root", self._atom(depth)]
        if name in _TEXTS:
            return ["text", _flat(self._atom(depth))]
        if name in _FUNCTIONS:
            return ["op", name]
        if name in _SYMBOLS:
            return _sign(_SYMBOLS[name])
        if len(name) == 1 and not name.isalnum():
            return name
        raise FormulaError(f"\\{name} is not known")

    def _take(self) -> str:
        if self.at == len(self.tokens):
            raise FormulaError("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]


_RELATIONS = frozenset("=<>≤≥≠≈≡∼∝∈∉⊂⊆→←⇒↔↦≪≫⊥∣")
_BINARY = frozenset("+−±∓·×÷∘⋆∪∩∧∨⊕⊗⊙∗")
_LARGE = frozenset("∑∏∫")


def _sign(text: str) -> Node:
    shown = {"-": "−", "*": "∗"}.get(text, text)
    for kind, signs in (("relation", _RELATIONS), ("binary", _BINARY), ("large", _LARGE)):
        if shown in signs:
            return [kind, shown]
    return ["var", shown] if shown.isalpha() else shown


def _flat(node: Node | None) -> str:
    if node is None or isinstance(node, str):
        return node or ""
    return "".join(map(_flat, node[1:]))
