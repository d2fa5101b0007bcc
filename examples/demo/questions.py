"""What customers of an invented heating company ask, and what its manuals say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A passage of a manual, with how well it fits."""

    document_id: str
    text: str
    score: float


@dataclass(frozen=True)
class Question:
    """A short conversation with the support desk."""

    customer: str
    text: str
    documents: tuple[Document, ...]
    answer: str


QUESTIONS = (
    Question(
        "ada",
        "The display of my heat pump says E41 since this morning. Is that dangerous?",
        (
            Document("HP-9/4.2", "E41: outdoor sensor not read for ten minutes. The unit keeps using the last value.", 0.91),
            Document("HP-9/4.7", "E47: refrigerant pressure too low. Switch the unit off and call service.", 0.64),
            Document("HP-7/2.1", "Codes starting with F concern the room controller.", 0.31),
        ),
        "No, it is not dangerous. **E41** means that the outdoor sensor has not answered for ten minutes; the heat pump keeps using the last value it had. Please check whether the grey cable under the outdoor unit sits firmly. If the code comes back within a day, we send you a sensor free of charge.",
    ),
    Question(
        "grace",
        "Can I set different temperatures for the two floors?",
        (
            Document("RC-3/1.4", "Each floor with its own mixing valve is a zone. Zones are named and scheduled in the app.", 0.88),
            Document("RC-3/1.9", "Without a second mixing valve the upper floor follows the lower one.", 0.83),
        ),
        "Yes, if the upper floor has its own mixing valve (a small motor beside the pipes in the boiler room). Then open *Zones* in the app and give each floor its schedule. Without the second valve both floors share one temperature; fitting one takes about two hours.",
    ),
    Question(
        "linus",
        "I was charged twice for the yearly inspection. Invoice 20318 and 20344.",
        (
            Document("CRM/20318", "Inspection, 12 October, 189.00 EUR, paid.", 0.97),
            Document("CRM/20344", "Inspection, 12 October, 189.00 EUR, paid, created by nightly job.", 0.96),
        ),
        "You are right, and I am sorry: invoice 20344 is a copy that our nightly run made. I have marked it for a refund of 189.00 EUR, which reaches your account within three working days. You need not do anything.",
    ),
    Question(
        "barbara",
        "How loud may the outdoor unit be at night? My neighbour complains.",
        (
            Document("HP-9/7.1", "Quiet mode limits the fan to 35 dB(A) at three metres, at 20 percent less output.", 0.86),
            Document("LAW/noise", "In residential areas 35 dB(A) apply at the neighbour's window from 22 to 6 o'clock.", 0.85),
        ),
        "At night 35 dB(A) apply at your neighbour's window. Please switch on **quiet mode** from 22 to 6 o'clock (*Settings, Sound*): the unit then stays at 35 dB(A) at three metres, and farther away it is quieter. The house loses little heat in those hours; below minus 7 °C the mode pauses by itself.",
    ),
    Question(
        "katherine",
        "What does the filter light mean, and can I clean it myself?",
        (
            Document("VE-2/3.3", "Filter light: 2,200 hours since the last change.", 0.9),
            Document("VE-2/3.4", "Filters of class F7 must not be washed; G4 may be vacuumed twice.", 0.89),
        ),
        "The light comes after 2,200 hours, about once a season. The coarse filter (G4, white) you may vacuum, twice at most. The fine one (F7, yellow) has to be replaced; water ruins it. Hold the button under the light for five seconds afterwards.",
    ),
    Question(
        "tim",
        "Please cancel my maintenance contract from January.",
        (
            Document("CRM/contract-881", "Yearly contract, renews on 1 March, one month's notice.", 0.93),
            Document("FAQ/contracts", "Cancellations are confirmed in writing on the same day.", 0.71),
        ),
        "I have noted the cancellation. Your contract renews on 1 March with one month's notice, so it ends on the last day of February; until then inspections stay free. The written confirmation is on its way to you.",
    ),
)
