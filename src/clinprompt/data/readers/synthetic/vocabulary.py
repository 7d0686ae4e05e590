"""Words of the synthetic notes: what every site says, and what is reserved for unseen sites."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of one kind; ``reserved`` ones appear only when a caller asks for them (held-out tasks)."""

    source: tuple[str, ...]
    reserved: tuple[str, ...] = ()


def _terms(source: str, reserved: str = "") -> Terms:
    return Terms(source=_split(source), reserved=_split(reserved))


def _split(words: str) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in words.split(",") if word.strip())


# No term is a whole word of a term of another kind: an answer must not be found in two places of a note.
TERMS: dict[str, Terms] = {
    "drug": _terms(
        """lisinopril, metformin, atorvastatin, amlodipine, metoprolol, omeprazole, losartan, albuterol,
        gabapentin, hydrochlorothiazide, sertraline, simvastatin, montelukast, escitalopram, furosemide,
        prednisone, tamsulosin, pantoprazole, warfarin, clopidogrel, insulin glargine, aspirin, ibuprofen,
        acetaminophen, cephalexin, amoxicillin, azithromycin, doxycycline, ciprofloxacin, vancomycin,
        ceftriaxone, heparin, digoxin, carvedilol, spironolactone, allopurinol, colchicine, levothyroxine,
        methotrexate, ondansetron, famotidine, lorazepam, trazodone, bupropion, venlafaxine, lithium,
        quetiapine, phenytoin, levetiracetam, topiramate, sumatriptan, baclofen, glipizide, enoxaparin,
        rivaroxaban, nitroglycerin, hydralazine, clonidine, diltiazem, verapamil""",
        """apixaban, rosuvastatin, empagliflozin, sitagliptin, duloxetine, mirtazapine, lamotrigine,
        valsartan, torsemide, ticagrelor, linezolid, meropenem, fluconazole, budesonide, tiotropium,
        semaglutide, pravastatin, bisoprolol, ranolazine, nortriptyline""",
    ),
    "problem": _terms(
        """hypertension, type 2 diabetes, asthma, pneumonia, heart failure, atrial fibrillation, COPD,
        anemia, depression, anxiety, gout, hypothyroidism, migraine, epilepsy, osteoarthritis, GERD,
        hyperlipidemia, stroke, deep vein thrombosis, pulmonary embolism, cellulitis, sepsis, urinary
        tract infection, chronic kidney disease, cirrhosis, pancreatitis, diverticulitis, hepatitis C,
        lupus, rheumatoid arthritis, psoriasis, sleep apnea, obesity, coronary artery disease, angina,
        bronchitis, sinusitis, insomnia, osteoporosis, dementia, kidney stones, peptic ulcer""",
        """sarcoidosis, multiple sclerosis, endocarditis, myocarditis, celiac disease, ulcerative colitis,
        fibromyalgia, Parkinson disease, aortic regurgitation, peripheral neuropathy, glaucoma,
        hemochromatosis, osteomyelitis, vasculitis, bipolar disorder""",
    ),
    "symptom": _terms(
        """rash, nausea, vomiting, dizziness, headache, dry cough, diarrhea, hives, swelling, fever, chills,
        chest pain, abdominal pain, shortness of breath, fatigue, weakness, constipation, palpitations,
        syncope, confusion, itching, blurred vision, joint pain, night sweats, weight loss, bleeding gums,
        muscle cramps, drowsiness""",
        """angioedema, tinnitus, hematuria, tremor, dysphagia, hemoptysis, myalgia, flushing, wheezing,
        numbness, jaundice, epistaxis""",
    ),
    "lab": _terms(
        """sodium, potassium, creatinine, glucose, hemoglobin, platelets, WBC, BUN, calcium, INR, troponin,
        albumin, bilirubin, AST, ALT, TSH, lactate, magnesium""",
        "ferritin, procalcitonin, phosphorus, lipase, chloride, bicarbonate, ESR, CRP",
    ),
    "opioid": _terms(
        "oxycodone, hydrocodone, morphine, fentanyl, tramadol, hydromorphone, codeine, methadone",
        "buprenorphine, tapentadol, oxymorphone, meperidine",
    ),
    "indication": _terms(
        """back pain, knee pain, neck pain, cancer pain, hip pain, post-op pain, shoulder pain, broken ribs,
        sickle cell pain""",
        "phantom limb pain, sciatica, burn pain, pelvic pain, flank pain",
    ),
    "job": _terms(
        """nurse, teacher, truck driver, carpenter, cook, electrician, cashier, farmer, accountant, mechanic,
        janitor, plumber, waiter, lawyer, security guard, painter, welder, secretary""",
        "roofer, librarian, bus driver, machinist, barber, paramedic, warehouse worker, tailor",
    ),
    "housing": _terms(
        """alone, with his wife, with her husband, in an apartment, with family, in a shelter, in a nursing
        home, with a roommate, with two children, on the street, in a motel, with parents""",
        """in a group home, in a trailer, with a cousin, in a halfway house, in his car, with a caregiver, in
        senior housing""",
    ),
    "illicit": _terms("cocaine, heroin, marijuana, methamphetamine, LSD, ecstasy", "ketamine, PCP, crack, kratom"),
    "tobacco": _terms(
        """1 pack per day, half a pack each day, 2 packs per day, 5 cigarettes each day, quit 10 years ago,
        quit 5 years ago, never smoker, 10 cigarettes per day, former smoker, chews tobacco""",
        "vapes each day, 3 cigars a week, quit last month, 20 pack years, pipe smoker, nicotine patch",
    ),
    "alcohol": _terms(
        """2 beers at night, occasional wine, abstinent, social drinker, 6 beers each day, 1 glass of wine on
        Sundays, a pint of vodka each day, sober for years, rare, whiskey on weekends""",
        "binge drinking, 4 shots at night, stopped last year, rum each day, a case of beer a week",
    ),
    "finding": _terms(
        """pleural effusion, consolidation, nodule, atelectasis, mass, fracture, infiltrate, opacity, edema,
        cyst, hemorrhage, infarct, hydronephrosis, calcification, pneumothorax""",
        "bronchiectasis, cavitation, granuloma, lesion, abscess, stenosis, diverticulum",
    ),
    "procedure": _terms(
        """cholecystectomy, appendectomy, colonoscopy, cardiac catheterization, knee replacement, hip
        replacement, hysterectomy, CABG, pacemaker placement, tonsillectomy, hernia repair, cesarean
        section, lumbar fusion, bronchoscopy, skin biopsy, cataract surgery""",
        """thyroidectomy, nephrectomy, splenectomy, carotid stenting, mastectomy, liver biopsy,
        rotator cuff repair""",
    ),
}

# No dose ends in ".<another dose>" ("0.5 mg" would hide "5 mg").
_MILLIGRAMS = "5 10 15 20 25 30 40 50 60 75 80 81 100 120 150 200 250 300 325 400 500 600 750 0.4"
DOSES = (*(f"{amount} mg" for amount in _MILLIGRAMS.split()), "1 g", "2 g")

ROUTES = {
    "A": ("PO", "IV", "SC", "IM", "inhaled", "topical"),
    "B": ("by mouth", "intravenous", "under the skin", "intramuscular", "by inhaler", "on the skin"),
}
FREQUENCIES = {
    "A": (
        "daily",
        "BID",
        "TID",
        "QID",
        "weekly",
        "at bedtime",
        "every 6 hours",
        "every 8 hours",
        "every morning",
        "as needed",
    ),
    "B": (
        "once a day",
        "twice a day",
        "three times a day",
        "four times a day",
        "once weekly",
        "nightly",
        "q6h",
        "q8h",
        "each morning",
        "prn",
    ),
}
STUDIES = {
    "A": ("chest x-ray", "CT chest", "CT abdomen", "MRI brain", "CT head", "abdominal ultrasound"),
    "B": ("CXR", "CT thorax", "CT A/P", "brain MRI", "head CT", "RUQ US"),
}
FLAGS = {"A": ("low", "high", "normal"), "B": ("L", "H", "WNL")}
SEVERITIES = ("mild", "moderate", "severe")
SIDES = ("left", "right", "bilateral")
SIZES = ("small", "large", "tiny", "new", "stable")
STATUSES = ("current", "past", "tapering")

_ONSETS = ("b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "z", "tr", "pl", "st", "k")
_RIMES = ("a", "e", "i", "o", "u", "an", "er", "ol", "ix", "en", "am")
SYLLABLES = tuple(onset + rime for onset in _ONSETS for rime in _RIMES)
