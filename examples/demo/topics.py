"""What the demo's agents know: everything they find, say and write. No network, so the sources are invented; the facts are meant to be right."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A page that the researcher can find and read."""

    title: str
    url: str
    snippet: str


@dataclass(frozen=True)
class Section:
    """A part of an article: what to look for, what is found, what it comes to."""

    heading: str
    query: str
    sources: tuple[Source, ...]
    finding: str


@dataclass(frozen=True)
class Topic:
    """One article, from the question to the last revision."""

    question: str
    audience: str
    sections: tuple[Section, ...]
    draft: str
    critique: str
    revision: str


TOPICS = (
    Topic(
        question="Why do trees cool a street so much more than awnings do?",
        audience="city council members",
        sections=(
            Section(
                "Shade is half of it",
                "street tree canopy surface temperature shade measurement",
                (
                    Source(
                        "Shade and asphalt: a summer of readings",
                        "https://example.org/urban/shade",
                        "Shaded asphalt stayed 11 to 20 degrees below sunlit asphalt at three in the afternoon.",
                    ),
                    Source(
                        "Awnings, arcades, sails",
                        "https://example.org/urban/awnings",
                        "Fabric warms up and radiates downwards; its underside was 8 degrees above the air.",
                    ),
                ),
                "Both shade the ground. Only the fabric heats up and gives the heat to the people under it.",
            ),
            Section(
                "Leaves drink and sweat",
                "evapotranspiration mature street tree litres per day cooling",
                (
                    Source(
                        "How much does a linden drink?",
                        "https://example.org/botany/linden",
                        "A mature linden moves 100 to 200 litres on a hot day if its soil lets it.",
                    ),
                    Source(
                        "Latent heat for planners",
                        "https://example.org/physics/latent",
                        "Evaporating a litre of water takes 0.68 kilowatt-hours out of the air around it.",
                    ),
                ),
                "A well watered tree takes some 70 to 130 kWh of heat a day out of its surroundings; an awning takes none.",
            ),
            Section(
                "Where it fails",
                "street tree sealed soil drought cooling loss",
                (
                    Source(
                        "Thirsty trees do not cool",
                        "https://example.org/urban/drought",
                        "In sealed pits trees closed their leaf pores before noon; their cooling fell to that of plain shade.",
                    ),
                ),
                "Without open soil and water a tree is only an expensive awning.",
            ),
        ),
        draft=(
            "## A tree is a cooler that grows\n\n"
            "Stand under an awning at three in the afternoon and you are out of the sun, but not out of the heat: the fabric has warmed up and hands it down to you. "
            "Stand under a linden and the heat is gone, because most of it went into water.\n\n"
            "A mature street tree moves one to two hundred litres on a hot day. Every litre that leaves a leaf as vapour takes 0.68 kilowatt-hours with it. "
            "That adds up to roughly the output of a few room air conditioners, without their waste heat.\n\n"
            "There is a condition. A tree in a sealed pit closes its leaves before noon, and then it is only shade."
        ),
        critique="Clear and short. The comparison with air conditioners needs a number, and the council will ask what an open pit costs.",
        revision=(
            "## A tree is a cooler that grows\n\n"
            "Stand under an awning at three in the afternoon and you are out of the sun, but not out of the heat: the fabric has warmed up and hands it down to you. "
            "Stand under a linden and the heat is gone, because most of it went into water.\n\n"
            "A mature street tree moves 100 to 200 litres on a hot day, and every litre takes 0.68 kWh of heat with it: 70 to 130 kWh a day, "
            "what two or three room air conditioners move when they run through.\n\n"
            "There is a condition. In a sealed pit the leaves close before noon, and then it is only shade. Budget for six square metres of open soil and a summer's water for each tree, "
            "or buy awnings."
        ),
    ),
    Topic(
        question="Do octopuses dream, and how would we know?",
        audience="readers of a weekend magazine",
        sections=(
            Section(
                "Two kinds of sleep",
                "octopus active sleep quiet sleep skin pattern study",
                (
                    Source(
                        "Quiet sleep, active sleep",
                        "https://example.org/biology/octopus-sleep",
                        "About once an hour the pale, still animal bursts into colour for a minute; it is hard to wake before and after.",
                    ),
                    Source(
                        "What counts as sleep",
                        "https://example.org/biology/sleep-criteria",
                        "Sleep is told from rest by a raised threshold and by rebound after deprivation.",
                    ),
                ),
                "Octopuses have a quiet stage and, about once an hour, an active one of roughly a minute.",
            ),
            Section(
                "Patterns without a reason",
                "octopus skin patterns during sleep waking camouflage neural recording",
                (
                    Source(
                        "The sleeping skin",
                        "https://example.org/biology/skin",
                        "In active sleep the skin runs through patterns that the waking animal shows when it hunts or hides.",
                    ),
                    Source(
                        "Electrodes in eight arms",
                        "https://example.org/biology/recording",
                        "Activity in the central brain during active sleep resembles that of waking.",
                    ),
                ),
                "The sleeping skin replays patterns of the day, with brain activity close to waking.",
            ),
        ),
        draft=(
            "## The colours of the night\n\n"
            "Once an hour a sleeping octopus lights up. It was pale and still; now its skin runs through browns and whites, horns rise over the eyes, the arms twitch. After a minute it is over.\n\n"
            "Those are the patterns of the hunt and of hiding, shown to nobody. The brain, too, looks awake. In a mammal we would call it REM sleep and think of dreams.\n\n"
            "Whether anything is seen in there we do not know. But something is rehearsed."
        ),
        critique="Lovely. The last line claims more than the studies do; say that rehearsal is one reading.",
        revision=(
            "## The colours of the night\n\n"
            "Once an hour a sleeping octopus lights up. It was pale and still; now its skin runs through browns and whites, horns rise over the eyes, the arms twitch. After a minute it is over.\n\n"
            "Those are the patterns of the hunt and of hiding, shown to nobody. The brain, too, looks awake. In a mammal we would call it REM sleep and think of dreams.\n\n"
            "Perhaps the day is rehearsed, perhaps the skin is merely being kept in tune. What it is like, if it is like anything, the octopus is not saying."
        ),
    ),
    Topic(
        question="Should a bakery with three gas ovens go electric this year?",
        audience="the owner of a family bakery",
        sections=(
            Section(
                "What an oven really burns",
                "deck oven gas versus electric efficiency kWh per kilogram bread",
                (
                    Source(
                        "Energy in small bakeries",
                        "https://example.org/trade/bakery-energy",
                        "Gas deck ovens turned 45 to 55 percent of the fuel into baking, electric ones 75 to 85 percent of the current.",
                    ),
                    Source(
                        "A year of meter readings",
                        "https://example.org/trade/meter",
                        "Idling between batches took a quarter of all energy, whatever the fuel.",
                    ),
                ),
                "An electric deck oven needs about a third less energy for the same bread; idling wastes a quarter in both.",
            ),
            Section(
                "The wire in the street",
                "bakery grid connection upgrade cost three phase 150 kW",
                (
                    Source(
                        "Connection charges explained",
                        "https://example.org/grid/charges",
                        "Above 30 kW the network operator charges for every further kilowatt, once.",
                    ),
                ),
                "Three ovens want some 120 kW at once. With staggered heating 70 kW do, which is what the connection charge depends on.",
            ),
            Section(
                "What the state pays",
                "subsidy electrification process heat small business 2026",
                (
                    Source(
                        "Process heat: who gets what",
                        "https://example.org/grants/heat",
                        "Small firms may claim up to 45 percent of the investment, before ordering and not after.",
                    ),
                ),
                "Apply first, order later: up to 45 percent.",
            ),
        ),
        draft=(
            "## One oven now, two when they die\n\n"
            "An electric oven bakes the same bread with a third less energy. Whether that is cheaper depends on two prices and one wire.\n\n"
            "- **Prices.** At today's tariffs a kilowatt-hour of current costs 2.6 times one of gas, so the saving alone does not pay.\n"
            "- **The wire.** Three ovens at once want 120 kW. Heated one after the other they want 70, and the connection charge falls with them.\n"
            "- **The grant.** Up to 45 percent, if the application comes before the order.\n\n"
            "Replace the oldest oven this year, learn to stagger, keep the other two until they fail."
        ),
        critique="Good advice, well ordered. Say in one sentence what would change your mind.",
        revision=(
            "## One oven now, two when they die\n\n"
            "An electric oven bakes the same bread with a third less energy. Whether that is cheaper depends on two prices and one wire.\n\n"
            "- **Prices.** At today's tariffs a kilowatt-hour of current costs 2.6 times one of gas, so the saving alone does not pay.\n"
            "- **The wire.** Three ovens at once want 120 kW. Heated one after the other they want 70, and the connection charge falls with them.\n"
            "- **The grant.** Up to 45 percent, if the application comes before the order.\n\n"
            "Replace the oldest oven this year, learn to stagger, keep the other two until they fail. If current ever costs less than 1.5 times gas, replace all three at once."
        ),
    ),
    Topic(
        question="How could anyone build the Antikythera mechanism 2,100 years ago?",
        audience="a school's science club",
        sections=(
            Section(
                "Thirty wheels",
                "Antikythera mechanism gears tooth count tomography",
                (
                    Source(
                        "Eighty-two fragments",
                        "https://example.org/history/fragments",
                        "Thirty gears survive; one has 223 teeth, the months of an eclipse cycle.",
                    ),
                    Source(
                        "Looking through bronze",
                        "https://example.org/history/tomography",
                        "X-ray tomography showed lettering one and a half millimetres high inside the lumps.",
                    ),
                ),
                "Thirty surviving bronze gears, one of 223 teeth, which is the number of months after which eclipses repeat.",
            ),
            Section(
                "A slot that bends time",
                "pin and slot lunar anomaly Antikythera Hipparchus",
                (
                    Source(
                        "Pin and slot",
                        "https://example.org/history/pin-slot",
                        "Two wheels on slightly different centres, joined by a pin in a slot, make the moon run faster and slower.",
                    ),
                ),
                "A pin in a slot on two offset wheels makes the moon's pointer speed up and slow down, as the moon does.",
            ),
        ),
        draft=(
            "## A computer you turn by hand\n\n"
            "Turn the crank, and the sun walks through the zodiac, the moon waxes and wanes, and a dial on the back says when the next eclipse is due. All of it with thirty bronze wheels, cut by file.\n\n"
            "The cleverest part is the smallest. The moon does not move evenly: near the earth it hurries. The builders put two wheels on centres one millimetre apart and let a pin of one slide in a slot of the other. "
            "The pointer hurries and lingers, just like the moon.\n\n"
            "Nothing like it is known for the next thousand years."
        ),
        critique="Exactly right for a science club. Add something they can try themselves.",
        revision=(
            "## A computer you turn by hand\n\n"
            "Turn the crank, and the sun walks through the zodiac, the moon waxes and wanes, and a dial on the back says when the next eclipse is due. All of it with thirty bronze wheels, cut by file.\n\n"
            "The cleverest part is the smallest. The moon does not move evenly: near the earth it hurries. The builders put two wheels on centres one millimetre apart and let a pin of one slide in a slot of the other. "
            "The pointer hurries and lingers, just like the moon.\n\n"
            "**Try it:** cut two cardboard discs, pin them a little off centre, push a match through one and into a slot in the other. Turn one evenly and watch the other."
        ),
    ),
    Topic(
        question="What does it take to plug a container ship into the shore?",
        audience="a port's board of directors",
        sections=(
            Section(
                "What a ship draws at berth",
                "shore power demand container ship megawatt reefers berth",
                (
                    Source(
                        "Hotel load, measured",
                        "https://example.org/ports/hotel-load",
                        "Large container ships draw 1 to 4 MW at berth, 7 MW with a full load of refrigerated boxes.",
                    ),
                    Source(
                        "Sixty hertz in a fifty hertz country",
                        "https://example.org/ports/frequency",
                        "Four of five ships run on 60 Hz; a converter costs as much as the cable, the socket and the building together.",
                    ),
                ),
                "1 to 7 MW, mostly at 60 Hz; the frequency converter is half of the bill.",
            ),
            Section(
                "Who has to, and from when",
                "shore power obligation European ports 2030 container passenger",
                (
                    Source(
                        "The 2030 rule",
                        "https://example.org/law/2030",
                        "From 2030 container and passenger ships in the large ports of the core network must use shore power when they stay over two hours.",
                    ),
                ),
                "From 2030 it is an obligation in the larger European ports for stays of more than two hours.",
            ),
        ),
        draft=(
            "## The most expensive socket in town\n\n"
            "A container ship at berth is a small town: one to four megawatts, seven when it carries a lot of frozen food. Today its own engines make that current, a few hundred metres from the nearest bedroom.\n\n"
            "From 2030 it must come from the shore. The cable is easy. The trouble is that four ships of five run at 60 hertz, and the converter costs as much as all the rest.\n\n"
            "One converter can serve two berths if calls do not overlap. In our timetable they overlap on eleven days a year."
        ),
        critique="The overlap is the whole case and it has no source. Recommend something.",
        revision=(
            "## The most expensive socket in town\n\n"
            "A container ship at berth is a small town: one to four megawatts, seven when it carries a lot of frozen food. Today its own engines make that current, a few hundred metres from the nearest bedroom.\n\n"
            "From 2030 it must come from the shore. The cable is easy. The trouble is that four ships of five run at 60 hertz, and the converter costs as much as all the rest.\n\n"
            "One converter can serve two berths if calls do not overlap. By last year's berthing log they did so on eleven days. **Recommendation:** one converter for both berths, and a clause in the schedule for those eleven days."
        ),
    ),
    Topic(
        question="Why does sourdough taste different in every kitchen?",
        audience="hobby bakers",
        sections=(
            Section(
                "Who lives in the jar",
                "sourdough starter microbiome lactic acid bacteria yeast survey",
                (
                    Source(
                        "Five hundred jars",
                        "https://example.org/food/jars",
                        "Most starters held one to three kinds of yeast and as many of bacteria; geography explained little.",
                    ),
                    Source(
                        "The baker's hands",
                        "https://example.org/food/hands",
                        "Bakers' hands carried the bacteria of their starters, and the starters those of the hands.",
                    ),
                ),
                "Few species a jar. Flour and hands matter more than the town.",
            ),
            Section(
                "Warm is mild, cool is sharp",
                "sourdough temperature lactic acetic acid ratio hydration",
                (
                    Source(
                        "Acids by the thermometer",
                        "https://example.org/food/acids",
                        "At 30 degrees lactic acid dominates; at 20 and in stiff dough the share of acetic acid doubles.",
                    ),
                ),
                "Warm and wet gives lactic, mild; cool and stiff gives acetic, sharp.",
            ),
        ),
        draft=(
            "## Your bread tastes of your kitchen\n\n"
            "A starter is a small zoo: two or three yeasts, two or three bacteria. They came with the flour and with your hands, not with the air of San Francisco.\n\n"
            "What they make of the dough is up to you. Keep it warm and soft, and you get the mild acid of yoghurt. Keep it cool and stiff, and you get the bite of vinegar.\n\n"
            "So before you order a famous starter by post, move the bowl to another shelf."
        ),
        critique="Charming and useful. Give two temperatures.",
        revision=(
            "## Your bread tastes of your kitchen\n\n"
            "A starter is a small zoo: two or three yeasts, two or three bacteria. They came with the flour and with your hands, not with the air of San Francisco.\n\n"
            "What they make of the dough is up to you. At 30 °C in a soft dough you get the mild acid of yoghurt. At 20 °C in a stiff one you get the bite of vinegar.\n\n"
            "So before you order a famous starter by post, move the bowl to another shelf."
        ),
    ),
)
