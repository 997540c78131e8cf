"""Stage 3, rewards: plain sentences by language, of which `gold.py` makes its texts. Holds data only.

Every sentence ends with its language's full stop; none has a comma, an abbreviation or a word in capitals.
"""

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "The small river runs past the old stone house.",
        "People walk along the bank when the weather is good.",
        "Some of them bring bread for the birds that live there.",
        "In winter the water is cold and very few visitors come.",
        "The garden behind the house is full of flowers and young trees.",
        "My neighbour grows tomatoes and keeps three friendly hens.",
        "Every morning she opens the gate and looks at the sky.",
        "She says that rain is the best help a garden can have.",
        "On warm days the children sit under the tall tree and read.",
        "They like stories about ships and far islands most of all.",
        "At night the lights of the town shine on the hill.",
        "Nobody is in a hurry here and that is what we love.",
    ),
    "es": (
        "El pequeño río pasa junto a la vieja casa de piedra.",
        "Los niños juegan en el jardín cuando hace buen tiempo.",
        "Por la mañana mi vecina abre la puerta y mira el cielo.",
        "La gente del pueblo es muy amable y siempre saluda.",
    ),
    "fr": (
        "La petite rivière passe devant la vieille maison de pierre.",
        "Les enfants jouent dans le jardin quand il fait beau.",
        "Chaque matin ma voisine ouvre la porte et regarde le ciel.",
        "Les gens du village sont toujours très aimables avec nous.",
    ),
    "de": (
        "Der kleine Fluss fließt an dem alten Haus aus Stein vorbei.",
        "Die Kinder spielen im Garten und freuen sich über das Wetter.",
        "Jeden Morgen öffnet meine Nachbarin die Tür und schaut in den Himmel.",
        "Die Leute im Dorf sind immer sehr freundlich zu uns.",
    ),
    "it": (
        "Il piccolo fiume passa davanti alla vecchia casa di pietra.",
        "I bambini giocano nel giardino quando il tempo è bello.",
        "Ogni mattina la mia vicina apre la porta e guarda il cielo.",
        "La gente del paese è sempre molto gentile con noi.",
    ),
    "pt": (
        "O pequeno rio passa ao lado da velha casa de pedra.",
        "As crianças brincam no jardim quando o tempo está bom.",
        "Todas as manhãs a minha vizinha abre a porta e olha para o céu.",
        "As pessoas da aldeia são sempre muito simpáticas conosco.",
    ),
    "nl": (
        "De kleine rivier stroomt langs het oude stenen huis.",
        "De kinderen spelen in de tuin wanneer het mooi weer is.",
        "Elke ochtend opent mijn buurvrouw de deur en kijkt naar de lucht.",
        "De mensen in het dorp zijn altijd erg vriendelijk voor ons.",
    ),
    "pl": (
        "Mała rzeka płynie obok starego kamiennego domu.",
        "Dzieci bawią się w ogrodzie gdy jest ładna pogoda.",
        "Każdego ranka moja sąsiadka otwiera drzwi i patrzy w niebo.",
        "Ludzie w naszej wsi są zawsze bardzo mili.",
    ),
    "ru": (
        "Маленькая река течёт мимо старого каменного дома.",
        "Дети играют в саду когда стоит хорошая погода.",
        "Каждое утро моя соседка открывает дверь и смотрит на небо.",
        "Люди в нашей деревне всегда очень приветливы.",
    ),
    "ko": (
        "작은 강이 오래된 돌집 옆을 흐릅니다.",
        "날씨가 좋으면 아이들은 정원에서 놀아요.",
        "매일 아침 이웃은 문을 열고 하늘을 바라봅니다.",
    ),
    "ja": (
        "小さな川が古い石の家のそばを流れています。",
        "天気がよい日には子どもたちが庭で遊びます。",
        "毎朝となりの人は戸を開けて空を見ます。",
    ),
    "hi": (
        "छोटी नदी पत्थर के पुराने घर के पास से बहती है।",
        "मौसम अच्छा होने पर बच्चे बगीचे में खेलते हैं।",
        "हर सुबह मेरी पड़ोसन दरवाज़ा खोलकर आसमान को देखती है।",
    ),
    "ar": (
        "يمر النهر الصغير بجانب البيت الحجري القديم.",
        "يلعب الأطفال في الحديقة عندما يكون الطقس جميلا.",
        "كل صباح تفتح جارتي الباب وتنظر إلى السماء.",
    ),
    "th": (
        "แม่น้ำสายเล็กไหลผ่านบ้านหินหลังเก่า.",
        "เด็กๆ เล่นในสวนเมื่ออากาศดี.",
        "ทุกเช้าเพื่อนบ้านของฉันเปิดประตูและมองท้องฟ้า.",
    ),
}
