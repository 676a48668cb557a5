"""How fast anybody speaks: a text with more characters a second is not that of its clip."""

# Characters a second that speech may have, also in a corpus of single words with pauses around them; and how
# many times those of its median clip. The sample's Thaana, with a sign for each vowel, has a median of 17.
FAST, TIMES = 25.0, 2.0
