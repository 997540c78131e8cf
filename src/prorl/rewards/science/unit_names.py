"""Stage 3, rewards: the units that may stand in an answer, and what pint calls them. A table, no conversion."""

PREFIXES = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1, "c": -2, "m": -3,
    "μ": -6, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
PREFIX_WORDS = {
    "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2, "deci": -1, "centi": -2, "milli": -3, "micro": -6,
    "nano": -9, "pico": -12, "femto": -15,
}  # fmt: skip

WITH_PREFIX = {
    "m": "meter", "g": "gram", "s": "second", "A": "ampere", "K": "kelvin", "mol": "mole", "cd": "candela",
    "N": "newton", "Pa": "pascal", "J": "joule", "W": "watt", "C": "coulomb", "V": "volt", "F": "farad", "Ω": "ohm",
    "S": "siemens", "Wb": "weber", "T": "tesla", "H": "henry", "Hz": "hertz", "L": "liter", "l": "liter",
    "ℓ": "liter", "eV": "electron_volt", "ev": "electron_volt", "Bq": "becquerel", "Gy": "gray", "Sv": "sievert",
    "cal": "calorie", "bar": "bar", "M": "molar", "Da": "dalton", "pc": "parsec", "kat": "katal", "lm": "lumen",
    "lx": "lux", "rad": "radian", "sr": "steradian", "bit": "bit", "B": "byte", "Ci": "curie", "G": "gauss_field",
    "P": "poise", "Wh": "watt_hour", "Ah": "ampere_hour", "sec": "second", "bp": "base_pair", "b": "barn",
    "dyn": "dyne", "t": "metric_ton",
}  # fmt: skip
"""Symbols that take an SI prefix; case counts."""

SYMBOLS = {
    "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "d": "day", "wk": "week",
    "yr": "year", "yrs": "year", "y": "year", "secs": "second", "°": "degree", "deg": "degree", "'": "arcminute",
    '"': "arcsecond", "arcmin": "arcminute", "arcsec": "arcsecond", "°C": "degree_Celsius", "degC": "degree_Celsius",
    "°F": "degree_Fahrenheit", "degF": "degree_Fahrenheit", "°K": "kelvin", "Δ°C": "kelvin", "delta_degC": "kelvin",
    "°R": "degree_Rankine", "atm": "standard_atmosphere", "mmHg": "millimeter_Hg", "torr": "torr", "Torr": "torr",
    "psi": "pound_force_per_square_inch", "lb": "pound", "lbs": "pound", "lbf": "force_pound", "oz": "ounce",
    "ft": "foot", "in": "inch", "inch": "inch", "yd": "yard", "mi": "mile", "mph": "mile_per_hour",
    "kph": "kilometer_per_hour", "kmph": "kilometer_per_hour", "kn": "knot", "Å": "angstrom",
    "AU": "astronomical_unit", "au": "astronomical_unit", "ly": "light_year", "amu": "dalton", "u": "dalton",
    "ha": "hectare", "acre": "acre", "gal": "gallon", "hp": "horsepower", "rpm": "revolutions_per_minute",
    "rev": "revolution", "D": "debye", "%": "percent", "‰": "permille", "ppm": "ppm", "ppb": "ppb_fraction",
    "Btu": "Btu", "BTU": "Btu", "erg": "erg", "ergs": "erg", "cc": "cubic_centimeter", "e": "elementary_charge",
    "c": "speed_of_light", "dB": "decibel_level", "Gs": "gauss_field",
    "amp": "ampere", "amps": "ampere", "hartree": "hartree",
}  # fmt: skip
"""Symbols without a prefix; they win over a prefixed reading."""

WORDS_WITH_PREFIX = {
    "meter": "meter", "metre": "meter", "gram": "gram", "gramme": "gram", "second": "second", "ampere": "ampere",
    "amp": "ampere", "kelvin": "kelvin", "mole": "mole", "candela": "candela", "newton": "newton", "pascal": "pascal",
    "joule": "joule", "watt": "watt", "coulomb": "coulomb", "volt": "volt", "farad": "farad", "ohm": "ohm",
    "siemens": "siemens", "weber": "weber", "tesla": "tesla", "henry": "henry", "hertz": "hertz", "liter": "liter",
    "litre": "liter", "electronvolt": "electron_volt", "becquerel": "becquerel", "gray": "gray", "sievert": "sievert",
    "calorie": "calorie", "bar": "bar", "dalton": "dalton", "parsec": "parsec", "radian": "radian", "bit": "bit",
    "byte": "byte", "base": "base_pair", "molar": "molar",
}  # fmt: skip

WORDS = {
    "minute": "minute", "hour": "hour", "day": "day", "week": "week", "year": "year", "degree": "degree",
    "celsius": "degree_Celsius", "fahrenheit": "degree_Fahrenheit", "atmosphere": "standard_atmosphere",
    "pound": "pound", "ounce": "ounce", "foot": "foot", "feet": "foot", "inche": "inch", "mile": "mile",
    "yard": "yard", "knot": "knot", "angstrom": "angstrom", "gallon": "gallon", "horsepower": "horsepower",
    "revolution": "revolution", "percent": "percent", "gauss": "gauss_field", "decibel": "decibel_level",
    "tonne": "metric_ton", "micron": "micrometer", "hectare": "hectare", "debye": "debye", "poise": "poise",
    "month": "month",
}  # fmt: skip
"""Words, in the singular and in lower case."""

GLUED = {
    "Nm": "N m", "Ns": "N s", "Js": "J s", "Pas": "Pa s", "VA": "V A", "As": "A s", "Cm": "C m", "Vm": "V m",
    "Am": "A m", "Tm": "T m", "Wm": "W m", "Jkg": "J kg", "kJkg": "kJ kg", "Jmol": "J mol", "kJmol": "kJ mol",
    "gmol": "g mol", "kgm": "kg m", "moldm": "mol dm", "molL": "mol L", "cms": "cm s", "kms": "km s", "kgmol": "kg mol",
}  # fmt: skip
"""Products that are often written without a space."""

COUNTS = {
    "atom", "molecule", "ion", "electron", "proton", "neutron", "photon", "particle", "nucleon", "nuclei", "cell",
    "cycle", "decay", "count", "turn", "line", "person", "individual", "wave", "fringe", "event", "unit",
    "disintegration",
}  # fmt: skip
"""Things that are counted: no unit of measure, so `12 atoms` and `12` are equal, `12 atoms` and `12 ions` are not."""

PHRASES = (
    (r"\bdegrees?\s+(?:celsius|centigrade|C)\b", "°C"),
    (r"\bdegrees?\s+(?:fahrenheit|F)\b", "°F"),
    (r"\bdeg\s+C\b", "°C"),
    (r"\bdeg\s+F\b", "°F"),
    (r"\blight[\s-]years?\b", "ly"),
    (r"\bmm\s+Hg\b", "mmHg"),
    (r"\belectron[\s-]volts?\b", "eV"),
    (r"\bastronomical\s+units?\b", "AU"),
    (r"\bbase[\s-]pairs?\b", "bp"),
    (r"\bhorse\s+power\b", "hp"),
    (r"μ\s+(?=[A-Za-zΩ])", "μ"),
)
"""Units of several words, and the one word that stands for each."""

SOFT_UNITS = {"radian", "bit"}
"""Base units of pint that count as plain numbers where the other side has none: 3 rad/s is 3 s^-1."""
CYCLES = {"hertz"}
"""pint reads these as 1/s; kept apart, so that 50 Hz is not 50 rad/s."""
TEMPERATURES = {"degree_Celsius": (1.0, 273.15), "degree_Fahrenheit": (5 / 9, 459.67 * 5 / 9), "kelvin": (1.0, 0.0)}
"""Scales that may start elsewhere than at absolute zero: kelvin per degree, kelvin at zero degrees."""
DEFINITIONS = ("gauss_field = 1e-4 tesla", "ppb_fraction = 1e-9", "decibel_level = [level]", "base_pair = [bases]")
"""What pint lacks, or defines in another system of units."""
