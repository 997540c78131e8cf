r"""Pairs of a gold answer and an answer, labelled by hand as a grader would: first the equal ones, then the others."""

import pytest

from prorl.records import Prompt
from prorl.rewards.science.verdict import verify

CHOICES = ["5 m/s", "50 m/s", "0.5 m/s", "5 km/s"]
CELL = {"A": "mitochondria", "B": "nucleus", "C": "Golgi apparatus", "D": "ribosome"}

EQUAL = r"""
5.0 \times 10^{-3} m/s | 5 mm/s
5.0 \times 10^{-3} m/s | 0.005 \, \mathrm{m\,s^{-1}}
5.0e-3 m/s | 5\times 10^{-3}\ \frac{\text{m}}{\text{s}}
9.81 m/s^2 | 9.8 m/s²
9.81 m/s^2 | 9.81 meters per second squared
9.81 m/s^2 | 981 cm/s^2
20 m/s | 72 km/h
20 m/s | 20 ms^{-1}
25 °C | 298.15 K
25 °C | 298 K
298 K | 25^\circ\text{C}
0 °C | 32 °F
\Delta T = 10 °C | 10 K
500 nm | 5.0 \times 10^{-7} m
500 nm | 0.5\,\mu\text{m}
1.22 Å | 0.122 nm
13.6 eV | 2.18 \times 10^{-18} J
-285.8 kJ/mol | -285.8 \text{ kJ mol}^{-1}
-285.8 kJ/mol | -2.858 \times 10^5 J/mol
8.314 J/(mol K) | 8.314\ \mathrm{J\,mol^{-1}\,K^{-1}}
8.314 J/mol·K | 8.31 J mol⁻¹ K⁻¹
0.10 M | 0.1 mol/L
0.10 M | 100 mM
0.10 M | 0.1 mol dm^{-3}
1.0 g/cm^3 | 1000 kg/m^3
1.0 g/mL | 1 kg/L
1 atm | 101325 Pa
760 mmHg | 1.013 \times 10^5 Pa
4.7 k\Omega | 4700 ohms
10 μF | 1e-5 F
2.4 GHz | 2.4 \times 10^9 s^{-1}
1.5 kWh | 5.4 MJ
90° | \frac{\pi}{2} rad
90° | 90
90° | 1.57 radians
300 rpm | 31.4 rad/s
12 N m | 12 J
9.8 N/kg | 9.8 m/s^2
25% | 0.25
25% | 25
25% | 1/4
0.25 | 25\%
1/3 | 0.333
\frac{3}{16} | 0.1875
1/4 | \dfrac{1}{4}
18 | 18.0
18 | n = 18
18 | 18 electrons
1000 | 1,000
1000 | 10^3
6.022 \times 10^{23} | 6.02e23
6.022 \times 10^{23} molecules | 6.02 \times 10^{23}
12 atoms | 12
46 chromosomes | 46 Chromosomes
2.5 h | 2 h 30 min
150 min | 2.5 hours
5 ft 6 in | 66 inches
v = 5 m/s | 5 m/s
5 m/s | v \approx 5.0 \text{ m/s}
12 N | F = ma = 3 \cdot 4 = 12\,\text{N}
0.005 m/s | 0.005 m/s = 5 mm/s
5.0 ± 0.2 m/s | 5.15 m/s
5.0 m/s | (5.0 \pm 0.1) \text{ m/s}
400-700 nm | 0.4 to 0.7 μm
3-5 m | between 3 and 5 m
> 5 m | > 5.0 \text{ m}
\leq 3 kg | ≤ 3000 g
x = 3 m, y = 4 m | y = 4 m and x = 3 m
3 m, 4 m | (3, 4) m
n = 3, l = 1 | n=3, l=1
0.6c | 1.8 \times 10^8 m/s
5 ppm | 5 \times 10^{-6}
0.511 MeV/c^2 | 9.11 \times 10^{-31} kg
9:3:3:1 | 9 : 3 : 3 : 1
9:3:3:1 | 9 to 3 to 3 to 1
3:1 | 3/1
3:1 | 3 to 1
3:1 | 3∶1
A, C | (A), (C)
A, C | (A) and (C)
A and C | (C), (A)
\epsilon_0 | \varepsilon_0
\frac{q}{4\pi\epsilon_0 r^2} | \frac{q}{4\pi\varepsilon_0 r^2}
1:2:1 | 2:4:2
H_2O | \ce{H2O}
H2SO4 | H₂SO₄
NaCl | \text{NaCl}
NaCl | ClNa
CO2(g) | CO_2
Al2(SO4)3 | Al_2(SO_4)_3
45° | \pi/4
\frac{\pi}{4} | 45°
5 m/s | \SI{5}{\meter\per\second}
3 kg | \SI{3}{\kilo\gram}
12.5 g | 12.5 g of NaCl
2 mol of O2 | 2 mol
2H2 + O2 -> 2H2O | 2H2 + O2 = 2H2O
Le Chatelier's principle | Le Châtelier’s principle
CH3CH2OH | \mathrm{CH_3CH_2OH}
CH3CH2OH | CH3-CH2-OH
C2H6O | C2H5OH
Fe^{3+} | Fe3+
Fe^{3+} | \mathrm{Fe}^{+3}
SO4^{2-} | \ce{SO4^2-}
SO4^{2-} | SO42-
NH4+ | \ce{NH4+}
CuSO4·5H2O | \mathrm{CuSO_4 \cdot 5H_2O}
[Fe(CN)6]^{3-} | \ce{[Fe(CN)6]^3-}
^{14}_{6}C | ^{14}C
^{235}U | U-235
2H2 + O2 -> 2H2O | O2 + 2H2 → 2H2O
2H2 + O2 -> 2H2O | \ce{H2 + 1/2 O2 -> H2O}
CH4 + 2O2 -> CO2 + 2H2O | \mathrm{CH_4(g) + 2O_2(g) \rightarrow CO_2(g) + 2H_2O(l)}
N2 + 3H2 <=> 2NH3 | N_2 + 3H_2 \rightleftharpoons 2NH_3
1s^2 2s^2 2p^6 | 1s²2s²2p⁶
sp^3 | sp3
\sqrt{2gh} | v = \sqrt{2 g h}
\frac{1}{2}mv^2 | mv^2/2
\frac{GMm}{r^2} | F = G \frac{M m}{r^2}
2\pi\sqrt{\frac{L}{g}} | T = 2\pi\sqrt{L/g}
\frac{mg}{k} | x = mg/k
mgh | mgh
E = mc^2 | mc^2
mitochondria | Mitochondria
mitochondria | the mitochondria
mitochondria | \text{mitochondria}
X-ray diffraction | x ray diffraction
Golgi apparatus | \textbf{Golgi apparatus}.
glucose or dextrose | dextrose
deoxyribonucleic acid (DNA) | DNA
deoxyribonucleic acid (DNA) | deoxyribonucleic acid
Yes | yes
No | No.
AaBb | \text{AaBb}
E. coli | E. coli
B | (B)
B | \text{B}
B | B.
(B) | b
B | Option B
B | B) 5 m/s
Option C | C
""".strip().split("\n")

UNEQUAL = r"""
5.0 \times 10^{-3} m/s | 5 m/s
5.0 \times 10^{-3} m/s | 5 mm
5.0 \times 10^{-3} m/s | 5.0 \times 10^{-3} m/s^2
5.0 \times 10^{-3} m/s | 5.0 \times 10^{3} m/s
9.81 m/s^2 | 9.81 m/s
9.81 m/s^2 | 9.6 m/s^2
9.81 m/s^2 | 9.81
12 cm | 12 km
25 °C | 25 K
25 °C | 26.5 °C
298.15 K | 26 °C
0 °C | 0 K
\Delta T = 10 °C | 283 K
-13.6 eV | 13.6 eV
13.6 eV | 13.6 J
0.10 M | 0.10 mol
0.10 M | 0.12 M
60 Hz | 60 rad/s
90° | 1.57°
90° | 90 rad
25% | 75%
25% | 0.0025
0.25 | 0.25%
1/4 | 3/4
63/64 | 127/128
18 | 19
18 | 18.1
1905 | 1906
1000 | 1001
12 atoms | 13 atoms
12 atoms | 12 ions
5 m/s | 5 m/s or 6 m/s
5 m/s | 5 m/s, 6 m/s
5 m/s | 4 m/s = 5 m/s
5 m/s | -5 m/s
5 m/s | 5 mph
5 m/s | five or six
5 m/s | 1-10 m/s
5 m/s | > 5 m/s
3-5 m | 4 m
3-5 m | 3-6 m
> 5 m | < 5 m
5.0 ± 0.2 m/s | 5.4 m/s
5 m/s | 5 ± 100 m/s
5 m/s | 5 m/s (or 6 m/s)
B | (A), (B)
B | B or A
B | A/B
H2O | H2O or CO2
x = 3 m, y = 4 m | x = 4 m, y = 3 m
3 m, 4 m | 3 m
n = 3, l = 1 | n = 3, l = 2
9:3:3:1 | 9:3:4
3:1 | 1:3
3:1 | 1/3
3:1 | 1 to 3
3:1 | 3
3:1 | 3/1/1
9:3:3:1 | 9/3/3/1
A, C | (A)
A, C | (A) and (B)
A, C | (A), (B), (C)
A | (A), (C)
\epsilon_0 | \varepsilon_r
1.5 kWh | 1.5 kW
H2O | H2O2
H2O | H_3O^+
NaCl | KCl
CO | Co
CO2 | C2O
CH3CH2OH | CH3OCH3
Fe^{3+} | Fe^{2+}
Fe^{3+} | Fe
SO4^{2-} | SO3^{2-}
O_2^- | O^{2-}
CuSO4·5H2O | CuSO4
^{14}C | ^{12}C
2H2 + O2 -> 2H2O | H2 + O2 -> H2O
2H2 + O2 -> 2H2O | 2H2O -> 2H2 + O2
2H2 + O2 -> 2H2O | 2H2 + O2 + N2 -> 2H2O
1s^2 2s^2 2p^6 | 1s^2 2s^2 2p^5
sp^3 | sp^2
\sqrt{2gh} | \sqrt{gh}
\frac{1}{2}mv^2 | mv^2
\frac{GMm}{r^2} | \frac{GMm}{r}
2\pi\sqrt{\frac{L}{g}} | 2\pi\sqrt{\frac{g}{L}}
mgh | mg
mitochondria | nucleus
mitochondria | mitochondria, nucleus
mitochondria | mitochondria or nucleus
mitochondria | not mitochondria
Mars | Arms
vitamin A | vitamin
45° | \pi/3
I = V/R | V = IR
endothermic | exothermic
increases | decreases
increases | increases or decreases
AaBb | aabb
Yes | No
trans-2-butene | cis-2-butene
(R)-2-butanol | (S)-2-butanol
2-methylbutane | 3-methylbutane
B | A
B | A, B
B | AB
B | A or B
B | A) x B) y C) z D) w
B | B C
B | not B
B | A, B, C, D
""".strip().split("\n")

WITH_METADATA = [
    ("9.8", "9.8", {"unit": "m/s^2"}, 1),
    ("9.8", "980 cm/s^2", {"unit": "m/s^2"}, 1),
    ("9.8", "9.8 m/s", {"unit": "m/s^2"}, 0),
    ("9.8 m/s^2", "9.8", {"unit": "m/s^2"}, 1),
    ("9.8 m/s^2", "980", {"unit": "cm/s^2"}, 1),
    ("120", "121", {"unit": "km"}, 1),
    ("120", "122", {"unit": "km"}, 0),
    ("120", "122", {"unit": "km", "tolerance": 0.05}, 1),
    ("100", "104.9", {"tolerance": 0.05}, 1),
    ("100", "105.1", {"tolerance": 0.05}, 0),
    ("3.14", "3.1416", {"tolerance": 0}, 0),
    ("3.14", "3.140", {"tolerance": 0}, 1),
    ("25", "298.15 K", {"unit": "degC"}, 1),
    ("25", "25 K", {"unit": "degC"}, 0),
    ("A", "(A)", {"choices": CHOICES}, 1),
    ("A", "5 m/s", {"choices": CHOICES}, 1),
    ("A", r"5.0 \text{ m/s}", {"choices": CHOICES}, 1),
    ("5 m/s", "A", {"choices": CHOICES}, 1),
    ("A", r"\text{(A) } 5 \text{ m/s}", {"choices": CHOICES}, 1),
    ("A", "A: 5 m/s", {"choices": CHOICES}, 1),
    ("B", "B (nucleus)", {"choices": CELL}, 1),
    ("B", "B nucleus", {"choices": CELL}, 1),
    ("B", "B ribosome", {"choices": CELL}, 0),
    ("B", "not B", {"choices": CELL}, 0),
    ("B", "nucleus or ribosome", {"choices": CELL}, 0),
    ("A", "A. 50 m/s", {"choices": CHOICES}, 0),
    ("A", "B. 5 m/s", {"choices": CHOICES}, 0),
    ("A", "50 m/s", {"choices": CHOICES}, 0),
    ("A", "5", {"choices": CHOICES}, 0),
    ("A", "5.04 m/s", {"choices": CHOICES}, 0),
    ("A", "A, B", {"choices": CHOICES}, 0),
    ("A", "A and A", {"choices": CHOICES}, 0),
    ("A", "5 m/s, 50 m/s", {"choices": CHOICES}, 0),
    ("A", "(A) 5 m/s (B) 50 m/s (C) 0.5 m/s (D) 5 km/s", {"choices": CHOICES}, 0),
    ("A", "E", {"choices": CHOICES}, 0),
    ("A", "all of the above", {"choices": CHOICES}, 0),
    ("A", "mitochondria", {"choices": CELL}, 1),
    ("A", "The mitochondria", {"choices": CELL}, 1),
    ("mitochondria", "option a", {"choices": CELL}, 1),
    ("A", r"\boxed{A}", {"choices": CELL}, 1),
    ("A", "the answer is A", {"choices": CELL}, 1),
    ("A", "mitochondria and nucleus", {"choices": CELL}, 0),
    ("A", "nucleus", {"choices": CELL}, 0),
    ("A", "A (nucleus)", {"choices": CELL}, 0),
    ("A, C", "A and C", {"choices": CELL}, 1),
    ("A, C", "C, A", {"choices": CELL}, 1),
    ("A, C", "AC", {"choices": CELL}, 1),
    ("A, C", "A", {"choices": CELL}, 0),
    ("A, C", "A, B, C, D", {"choices": CELL}, 0),
    ("D", "D", {"choices": {"A": "D", "B": "E", "C": "F", "D": "G"}}, 1),
]


def value(gold: str, answer: str, **metadata: object) -> float:
    prompt = Prompt(id="p", domain="stem", task="", content="", answer=gold, metadata=metadata)
    score = verify(prompt, f"So it is \\boxed{{{answer}}}.")
    assert score.outcome == ("correct" if score.value else "wrong"), score
    return score.value


def split(line: str) -> tuple[str, str]:
    gold, answer = line.split(" | ")
    return gold, answer


def test_there_are_enough_pairs():
    assert len(EQUAL) + len(UNEQUAL) + len(WITH_METADATA) >= 250


@pytest.mark.parametrize("line", EQUAL)
def test_equal(line: str):
    assert value(*split(line)) == 1.0


@pytest.mark.parametrize("line", UNEQUAL)
def test_unequal(line: str):
    assert value(*split(line)) == 0.0


@pytest.mark.parametrize(("gold", "answer", "metadata", "expected"), WITH_METADATA)
def test_with_metadata(gold: str, answer: str, metadata: dict, expected: int):
    assert value(gold, answer, **metadata) == expected
