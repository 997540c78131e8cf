r"""Gold answers in the notations of SCP-116K and GPQA: every gold answer scores 1, junk scores 0."""

import pytest

from prorl.records import Prompt
from prorl.rewards.science.rows import check_row, gold_response
from prorl.rewards.science.verdict import verify, verify_tolerant

GOLDS = r"""
5.0 \times 10^{-3} \text{ m/s}
$v = 5.0 \times 10^{-3} \, \text{m/s}$
$4.2 \times 10^{-19} \mathrm{~J}$
$1.6 \times 10^{-19} \text{ C}$
$\lambda = 486.1 \text{ nm}$
$E = 2.55 \text{ eV}$
13.6 eV
-13.6 eV
$\Delta H = -285.8 \text{ kJ/mol}$
$\Delta G^\circ = -237.1 \mathrm{~kJ} \mathrm{~mol}^{-1}$
$K_c = 4.0$
$K_p = 1.8 \times 10^{-5}$
$\mathrm{pH} = 4.74$
pH = 9.25
0.082 L atm mol^{-1} K^{-1}
$8.314 \mathrm{~J} \mathrm{~mol}^{-1} \mathrm{~K}^{-1}$
298 K
25 °C
$100^{\circ} \mathrm{C}$
$-40^\circ\text{F}$
37 degrees Celsius
30°
$45^\circ$
$\theta = 53.1^{\circ}$
$\frac{\pi}{6}$ rad
$2 \pi \times 10^{14} \mathrm{rad/s}$
9.8 m/s^2
9.81 m/s²
$9.8 \mathrm{~m} / \mathrm{s}^2$
$3.0 \times 10^8 \mathrm{~m} \cdot \mathrm{s}^{-1}$
120 km/h
2.5 h
2 h 30 min
45 min
3.15 × 10⁷ s
6.022 \times 10^{23}
$6.022 \times 10^{23} \text{ molecules}$
1.2 \times 10^{24} atoms
12 atoms
46 chromosomes
4 electrons
18
3
0.25
1/4
\frac{1}{4}
$\frac{3}{16}$
25%
25 \%
12.5\%
$33.3\%$
9:3:3:1
3:1
1:2:1
2:1
$1 : 2 : 1$
0.32
64%
H_2O
$\mathrm{H_2SO_4}$
\ce{H2SO4}
\ce{CuSO4.5H2O}
$\text{CuSO}_4 \cdot 5\text{H}_2\text{O}$
NaCl
CO2
C6H12O6
$\mathrm{C_6H_{12}O_6}$
CH3COOH
CH3CH2OH
$Fe^{3+}$
\ce{SO4^2-}
$\text{SO}_4^{2-}$
$[\mathrm{Fe}(\mathrm{CN})_6]^{3-}$
[Co(NH3)6]Cl3
$\mathrm{K_2Cr_2O_7}$
^{14}_{6}\text{C}
${}^{235}_{92}\mathrm{U}$
\ce{2H2 + O2 -> 2H2O}
$2H_2 + O_2 \rightarrow 2H_2O$
$\mathrm{CH_4} + 2\mathrm{O_2} \rightarrow \mathrm{CO_2} + 2\mathrm{H_2O}$
$N_2 + 3H_2 \rightleftharpoons 2NH_3$
$\mathrm{Ag^+ + Cl^- \rightarrow AgCl(s)}$
$^{238}_{92}\text{U} \rightarrow ^{234}_{90}\text{Th} + ^{4}_{2}\text{He}$
$1s^2 2s^2 2p^6$
[Ar] 3d^5 4s^1
$sp^3$
sp2
$v = \sqrt{2gh}$
$\sqrt{2gh}$
$E = mc^2$
$\frac{1}{2}mv^2$
$F = \frac{GMm}{r^2}$
$\frac{mg}{k}$
$T = 2\pi\sqrt{\frac{L}{g}}$
$\frac{q}{4\pi\epsilon_0 r^2}$
$\frac{n^2 h^2}{8mL^2}$
$\frac{3}{2}kT$
$e^{-E/kT}$
$\lambda = \frac{h}{p}$
$\psi(x) = A \sin(kx)$
$x(t) = A\cos(\omega t + \phi)$
$\frac{V^2}{R}$
mgh
qvB
$\hbar\omega$
$-\frac{\hbar^2}{2m}$
$\mu_0 n I$
$I = I_0 e^{-\alpha x}$
$ax^2+bx+c$
$PV^\gamma = \text{constant}$
$(3, 4)$
(1.2, 3.4) m
$x = 3$ m, $y = 4$ m
3 m and 4 m
n = 3, l = 1, m = 0
400-700 nm
10 to 20 kg
between 3 and 5 m
$5.0 \pm 0.2 \text{ m/s}$
$(6.63 \pm 0.02) \times 10^{-34} \text{ J s}$
> 5 m
$\approx 340$ m/s
about 50 kg
~ 10^{-5} m
1.0 M
0.10 mol/L
0.5 mol dm^{-3}
50 mM
18.02 g/mol
2.7 g/cm^3
$1000 \text{ kg m}^{-3}$
101.3 kPa
1 atm
760 mmHg
14.7 psi
220 Ω
$4.7 \text{ k}\Omega$
10 μF
$3.3 \,\mu\text{H}$
60 Hz
2.4 GHz
1.5 T
3.2 × 10^{-5} Wb
500 W
1.5 kW·h
500 MeV
0.511 MeV/c^2
1.22 Å
4.35 light years
70 km/s/Mpc
0.6c
20 dB
5 ppm
$1.38 \times 10^{-23} \text{ J/K}$
$6.67 \times 10^{-11} \text{ N m}^2/\text{kg}^2$
$0.15 \text{ W m}^{-2} \text{ K}^{-4}$
12 N·m
3.7 × 10^{10} Bq
5.27 years
1 mL
2 s^{-1}
0.693 min^{-1}
A
B
(C)
D.
Option B
(D) 5 m/s
\text{A}
\textbf{C}
mitochondria
The mitochondrion
Golgi apparatus
DNA polymerase III
deoxyribonucleic acid (DNA)
X-ray diffraction
Le Chatelier's principle
glucose or dextrose
first-order
Yes
No
True
increases
decreases
endothermic
(R)-2-butanol
2-methylbutane
trans-2-butene
tetrahedral
AaBb
aa
X^H X^h
I^A i
5'-ATGC-3'
AUG
E. coli
Homo sapiens
blue
neon
red, green, blue
Newton's second law
""".strip().split("\n")

EQUAL_GOLDS = (
    (r"5.0 \times 10^{-3} \text{ m/s}", r"$v = 5.0 \times 10^{-3} \, \text{m/s}$"),
    ("$K_c = 4.0$", "4 electrons"),
    ("0.082 L atm mol^{-1} K^{-1}", r"$8.314 \mathrm{~J} \mathrm{~mol}^{-1} \mathrm{~K}^{-1}$"),
    ("298 K", "25 °C"),
    ("30°", r"$\frac{\pi}{6}$ rad"),
    ("9.8 m/s^2", "9.81 m/s²", r"$9.8 \mathrm{~m} / \mathrm{s}^2$"),
    ("2.5 h", "2 h 30 min"),
    (r"6.022 \times 10^{23}", r"$6.022 \times 10^{23} \text{ molecules}$"),
    ("0.25", "1/4", r"\frac{1}{4}", "25%", r"25 \%"),
    ("1:2:1", "$1 : 2 : 1$"),
    (r"$\mathrm{H_2SO_4}$", r"\ce{H2SO4}"),
    (r"\ce{CuSO4.5H2O}", r"$\text{CuSO}_4 \cdot 5\text{H}_2\text{O}$"),
    ("C6H12O6", r"$\mathrm{C_6H_{12}O_6}$"),
    (r"\ce{SO4^2-}", r"$\text{SO}_4^{2-}$"),
    (r"\ce{2H2 + O2 -> 2H2O}", r"$2H_2 + O_2 \rightarrow 2H_2O$"),
    (r"$v = \sqrt{2gh}$", r"$\sqrt{2gh}$"),
    ("$x = 3$ m, $y = 4$ m", "3 m and 4 m"),
    ("101.3 kPa", "1 atm", "760 mmHg", "14.7 psi"),
    ("A", r"\text{A}"),
    ("B", "Option B"),
    ("(C)", r"\textbf{C}"),
    ("D.", "(D) 5 m/s"),
)
"""Every group of golds that are equal to each other."""
EQUAL_WITHOUT_UNIT = (
    (r"$\mathrm{pH} = 4.74$", r"$4.7 \text{ k}\Omega$"),
    ("$(3, 4)$", "$x = 3$ m, $y = 4$ m"),
    ("$(3, 4)$", "3 m and 4 m"),
)
"""The gold answer has no unit, so the number counts."""

JUNK = (
    "",
    " ",
    "\\boxed{}",
    "\\boxed{ }",
    "\\boxed{\\text{}}",
    "\\boxed{.}",
    "\\boxed{answer}",
    "\\boxed{...}",
    "\\boxed{0}",
    "\\boxed{17}",
    "\\boxed{nan}",
    "\\boxed{inf}",
    "\\boxed{1e999}",
    "\\boxed{\\infty}",
    "\\boxed{A, B, C, D}",
    "\\boxed{ABCD}",
    "\\boxed{A or B}",
    "\\boxed{all of the above}",
    "\\boxed{unknown}",
    "\\boxed{None}",
    "\\boxed{x}",
    "\\boxed{your answer}",
    "\\boxed{\\_\\_import\\_\\_('os').system('id')}",
    "\\boxed{open('/tmp/x','w')}",
    "<think>\\boxed{A}",
)


def row(gold: str, **metadata: object) -> Prompt:
    return Prompt(id="g", domain="stem", task="", content="", answer=gold, metadata=metadata)


def test_there_are_enough_golds():
    assert len(GOLDS) >= 150
    assert len(set(GOLDS)) == len(GOLDS)


@pytest.mark.parametrize("gold", GOLDS)
def test_gold_answer_is_right_and_junk_is_not(gold: str):
    prompt = row(gold)
    check_row(prompt)
    response = gold_response(prompt)
    assert response is not None
    assert verify(prompt, response).value == 1.0, verify(prompt, response)
    assert verify_tolerant(prompt, response).value == 1.0
    assert verify_tolerant(prompt, f"**Answer:** {gold}").value == 1.0
    assert verify(prompt, gold).outcome == "unparsable"
    for junk in JUNK:
        for judge in (verify, verify_tolerant):
            score = judge(prompt, junk)
            assert (score.value, score.outcome in ("wrong", "unparsable")) == (0.0, True), (gold, junk, score)


def test_gold_answers_are_equal_to_no_others():
    found = {
        (gold, other)
        for gold in GOLDS
        for other in GOLDS
        if other != gold and verify(row(gold), f"\\boxed{{{other}}}").value
    }
    expected = {(one, two) for group in EQUAL_GOLDS for one in group for two in group if one != two}
    assert found == expected | set(EQUAL_WITHOUT_UNIT)
