"""Train a bundle that reads free text: is a product review positive or negative?

The example writes its reviews itself, from phrases below. They are far more regular than what people
write, so the measured figures say that the bundle works, not that it understands reviews.
"""

import random
import sys
from itertools import product
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.bundle_writer import Bundle, command_line, write

SEED = 1755
REVIEWS_PER_LABEL = 300
LABELS = ["negative", "positive"]

PRODUCTS = ["kettle", "lamp", "backpack", "keyboard", "blender", "jacket", "chair", "camera", "radio"]
OPENINGS = {
    "negative": [
        "The {} broke after a week",
        "This {} is a disappointment",
        "I regret buying this {}",
        "The {} is not good at all",
        "The {} arrived damaged",
        "I expected more of this {}",
        "The {} feels cheap and flimsy",
        "This {} is not worth the money",
        "The {} never worked properly",
        "What a useless {}",
    ],
    "positive": [
        "The {} still works perfectly after a year",
        "This {} is a delight",
        "I am glad that I bought this {}",
        "The {} is not bad at all",
        "The {} arrived early and well packed",
        "I expected less of this {}",
        "The {} feels solid and well made",
        "This {} is worth every penny",
        "The {} worked at once",
        "What a lovely {}",
    ],
}
ENDINGS = {
    "negative": [
        "and I sent it back.",
        "and nobody answered my complaint.",
        "so I want a refund.",
        "and I would not recommend it.",
        "and my old one was better.",
        "so avoid it.",
        "although the colour is nice.",
        "although it was delivered quickly.",
    ],
    "positive": [
        "and I use it every day.",
        "and the support was friendly.",
        "so I ordered another one.",
        "and I would recommend it.",
        "and my old one was worse.",
        "so buy it.",
        "although the colour is dull.",
        "although it was delivered late.",
    ],
}


def write_reviews(label: str) -> list[str]:
    """Return `REVIEWS_PER_LABEL` different reviews of this label, the same ones every time."""
    combinations = list(product(PRODUCTS, OPENINGS[label], ENDINGS[label]))
    chosen = random.Random(SEED).sample(combinations, REVIEWS_PER_LABEL)
    return [f"{opening.format(noun)} {ending}" for noun, opening, ending in chosen]


def train() -> Bundle:
    """Fit three quarters of the reviews; the bundle's figures stand on the others."""
    reviews = [(review, label) for label in LABELS for review in write_reviews(label)]
    texts, labels = [review for review, _ in reviews], [label for _, label in reviews]
    learn, test, known, truth = train_test_split(texts, labels, test_size=0.25, stratify=labels, random_state=SEED)
    # Pairs of words tell "not bad" from "bad".
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2), LogisticRegression(C=10.0))
    model.fit(learn, known)
    return Bundle(
        model=model,
        lookup={"review": ""},
        labels=LABELS,
        figures={
            "accuracy": round(float(accuracy_score(truth, model.predict(test))), 6),
            "log_loss": round(float(log_loss(truth, model.predict_proba(test))), 6),
            "training_rows": len(learn),
            "held_out_rows": len(test),
        },
        metadata={
            "name": "reviews",
            "version": 1,
            "description": (
                "Whether a product review is positive or negative. Learned from a few hundred sentences made "
                "of templates: a demonstration, not a judge of real reviews."
            ),
            "tags": ["text", "classification"],
            "data": {"source": "written by the example itself", "licence": "that of this repository"},
            "parameters": {
                "review": {
                    "description": "A sentence or two in English.",
                    "examples": ["The kettle feels solid and I would recommend it."],
                }
            },
        },
    )


def main() -> None:
    """Read the command line, train, write the bundle."""
    parser = command_line(__doc__.partition("\n")[0], out=Path(__file__).parent / "bundle")
    write(train(), parser.parse_args().out)


if __name__ == "__main__":
    main()
