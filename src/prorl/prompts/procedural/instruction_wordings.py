"""The words of the instruction families: requests, topics, and several wordings of every rule. Holds data only.

Requests have no comma, and no word of `FORBIDDEN` or `KEYWORDS`; keywords and phrases have no letter of `RARE_LETTERS`
and no forbidden word, and no keyword is part of another: so that instructions drawn from here agree.
"""

RARE_LETTERS = "jqxz"
_KEYWORDS = """
    river bread candle mountain ticket garden winter pencil market bridge island morning window forest silver cotton
    harbor lantern meadow thunder basket blanket bottle button camera canvas carpet castle cherry clover coffee copper
    corner desert dinner doctor dragon engine fabric falcon farmer feather finger flower fossil glacier guitar hammer
    helmet honey hunter kettle kitten ladder lemon leopard letter magnet marble mirror monkey needle ocean orange oven
    oyster palace parrot pebble pepper pigeon pillow pirate planet pocket potato powder purple ribbon rocket saddle
    salmon sandal sister spider sponge statue summer sweater temple tiger tunnel turtle valley velvet village violin
    wagon walnut whistle wolf yellow
"""
KEYWORDS = tuple(_KEYWORDS.split())
FORBIDDEN = ["very", "good", "important", "also", "because", "really", "great", "many", "often", "always", "however"]
END_PHRASES = (
    "That is all about {topic}.",
    "Thank you for reading about {topic}.",
    "Let me know what you think of {topic}.",
    "Now you know about {topic}.",
    "Is there anything else about {topic}?",
    "Soon we will talk more about {topic}.",
)
LANGUAGES = {
    "es": "Spanish",
    "fr": "French",
    "de": "German",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
    "pl": "Polish",
    "ru": "Russian",
}
TOPICS = (
    "a walk in the rain",
    "a cat that cannot sleep",
    "learning to cook soup",
    "a lost umbrella",
    "the first day at school",
    "an old train station",
    "a robot that paints",
    "the life of bees",
    "a long bus ride",
    "keeping a small room tidy",
    "a visit to the library",
    "growing tomatoes at home",
    "why the sky is blue",
    "a birthday without cake",
    "how boats stay afloat",
    "a dog that likes music",
    "saving water at home",
    "a night under the stars",
    "the history of paper",
    "training for a race",
)
REQUESTS = (
    "Write a short text about {topic}.",
    "Tell me about {topic}.",
    "Write a note to a friend about {topic}.",
    "Describe {topic} in your own words.",
    "Write a blog post about {topic}.",
    "Give a short talk about {topic}.",
)
QUESTIONS = (
    "Is a tomato a fruit?",
    "Can penguins fly?",
    "Should children learn to cook?",
    "Is the sun a star?",
    "Do fish sleep?",
    "Is it wise to read before bed?",
    "Will it rain tomorrow?",
    "Are bicycles faster than cars in a city?",
)
OPENINGS = ("Follow these rules:", "Your response must do the following:", "Keep to these points:", "Requirements:")
WORDINGS: dict[str, tuple[str, ...]] = {
    "keywords:existence": (
        "Include these words in your response: {keywords}.",
        "Your response must contain {keywords}.",
        "Use the following keywords: {keywords}.",
    ),
    "keywords:frequency": (
        "The word {keyword} should appear {relation} {frequency} times.",
        "Use the word {keyword} {relation} {frequency} times in your response.",
        "In your response {keyword} must occur {relation} {frequency} times.",
    ),
    "keywords:forbidden_words": (
        "Do not use any of these words: {forbidden_words}.",
        "Avoid the following words: {forbidden_words}.",
        "Your response must not contain {forbidden_words}.",
    ),
    "keywords:letter_frequency": (
        "The letter {letter} should appear {let_relation} {let_frequency} times.",
        "Use the letter {letter} {let_relation} {let_frequency} times.",
        "Your response must have {let_relation} {let_frequency} letters {letter}.",
    ),
    "language:response_language": (
        "Your whole response must be in {language}.",
        "Answer only in {language}; no other language is allowed.",
        "Write everything in {language}.",
    ),
    "length_constraints:number_sentences": (
        "Use {relation} {num_sentences} sentences.",
        "Your response should have {relation} {num_sentences} sentences.",
        "Write {relation} {num_sentences} sentences.",
    ),
    "length_constraints:number_paragraphs": (
        "Write exactly {num_paragraphs} paragraphs and separate them with the markdown divider ***.",
        "Your response must have {num_paragraphs} paragraphs with *** between them.",
        "There should be {num_paragraphs} paragraphs. Put *** between two paragraphs.",
    ),
    "length_constraints:number_words": (
        "Use {relation} {num_words} words.",
        "Your response should have {relation} {num_words} words.",
        "Answer with {relation} {num_words} words.",
    ),
    "length_constraints:nth_paragraph_first_word": (
        "Write {num_paragraphs} paragraphs, separated by blank lines only. Paragraph {nth_paragraph} must start with "
        "the word {first_word}.",
        "There should be {num_paragraphs} paragraphs with a blank line between them, and the first word of paragraph "
        "{nth_paragraph} must be {first_word}.",
        "Split your response into {num_paragraphs} paragraphs with two line breaks between them. Start paragraph "
        "{nth_paragraph} with {first_word}.",
    ),
    "detectable_content:number_placeholders": (
        "Include at least {num_placeholders} placeholders in square brackets, such as [name].",
        "Your response must contain at least {num_placeholders} placeholders like [address] or [date].",
        "Leave at least {num_placeholders} things open, each as a placeholder in square brackets, for example [city].",
    ),
    "detectable_content:postscript": (
        "At the end of your response add a postscript that starts with {postscript_marker}",
        "Finish with a postscript beginning with {postscript_marker}",
        "Add a postscript at the end. It starts with {postscript_marker}",
    ),
    "detectable_format:number_bullet_lists": (
        "Your response must contain exactly {num_bullets} bullet points in markdown, such as: * This is a point.",
        "Include exactly {num_bullets} markdown bullet points. Each is a line that starts with * and a blank.",
        "Give exactly {num_bullets} bullet points in markdown format (lines that start with - or *).",
    ),
    "detectable_format:constrained_response": (
        "Answer with one of the following options: 'My answer is yes.', 'My answer is no.', 'My answer is maybe.'",
        "Choose exactly one of these answers: My answer is yes. / My answer is no. / My answer is maybe.",
        "Reply with 'My answer is yes.' or 'My answer is no.' or 'My answer is maybe.' and with only one of them.",
    ),
    "detectable_format:number_highlighted_sections": (
        "Highlight at least {num_highlights} parts of your response with markdown, like *this part*.",
        "At least {num_highlights} phrases must be highlighted with asterisks, for example *highlighted phrase*.",
        "Mark at least {num_highlights} phrases with markdown emphasis, i.e. *phrase*.",
    ),
    "detectable_format:multiple_sections": (
        "Your response must have at least {num_sections} sections. Mark the beginning of each with {section_spliter} "
        "and its number, such as: {section_spliter} 1",
        "Divide your response into {num_sections} sections that begin with {section_spliter} 1, {section_spliter} 2 "
        "and so on.",
        "Use {num_sections} sections. Each starts with the heading {section_spliter} X, where X is its number.",
    ),
    "detectable_format:json_format": (
        "Your entire response must be one JSON object and nothing else.",
        "Give the whole output in JSON format. You may use a markdown code block such as ```json.",
        "Write the entire response as a JSON object with a key for each part.",
    ),
    "detectable_format:title": (
        "Your response must contain a title in double angular brackets, such as <<poem of joy>>.",
        "Give your response a title and wrap it in double angular brackets, i.e. <<title>>.",
        "Add a title in double angular brackets, like <<my title>>.",
    ),
    "combination:two_responses": (
        "Give two different responses. Separate them with six asterisks: ******.",
        "Write two different versions with ****** (six asterisks) between them and nothing else between them.",
        "Answer twice in different words. Put six asterisks ****** between the two answers.",
    ),
    "combination:repeat_prompt": (
        'Begin by repeating this sentence word for word: "{prompt_to_repeat}" Then give your answer.',
        'First repeat the sentence "{prompt_to_repeat}" without any change and then answer it. Say nothing before it.',
        "Start your response with exactly these words: {prompt_to_repeat} After that write your answer.",
    ),
    "startend:end_checker": (
        'Finish your response with this exact phrase: "{end_phrase}" No other words may follow it.',
        "The very last words of your response must be: {end_phrase}",
        'End with the exact phrase "{end_phrase}" and write nothing after it.',
    ),
    "startend:quotation": (
        "Wrap your entire response in double quotation marks.",
        "Put the whole response between double quotation marks.",
        'Your response must start and end with a double quotation mark (").',
    ),
    "change_case:capital_word_frequency": (
        "Words in all capital letters should appear {capital_relation} {capital_frequency} times.",
        "Use {capital_relation} {capital_frequency} words in all capital letters.",
        "The number of words in ALL CAPS must be {capital_relation} {capital_frequency}.",
    ),
    "change_case:english_capital": (
        "Your entire response must be in English and in all capital letters.",
        "Write in English and use capital letters only.",
        "Use only uppercase English letters in the whole response.",
    ),
    "change_case:english_lowercase": (
        "Your entire response must be in English and in all lowercase letters. No capital letters are allowed.",
        "Write in English and use lowercase letters only.",
        "Use no capital letters at all; the whole response is in lowercase English.",
    ),
    "punctuation:no_comma": (
        "Do not use any commas in your response.",
        "Your response must not contain a comma.",
        "Write without commas.",
    ),
}


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
