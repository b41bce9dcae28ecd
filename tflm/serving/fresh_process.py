"""Uses an export as a program would that has never heard of tflm.

    python -I fresh_process.py EXPORT < request.json > answers.json

It is run, not imported: nothing of tflm may be needed, nor can be imported.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Answers a request with the export alone, which it loads before."""
    sys.modules["tflm"] = None  # type: ignore[assignment]
    export = Path(sys.argv[1])
    extra = export / "assets.extra"
    import tensorflow as tf

    def read_json(name: str) -> Any:
        return json.loads((extra / name).read_text(encoding="utf-8"))

    for library in read_json("op_libraries.json"):
        importlib.import_module(library)
    loaded = tf.saved_model.load(str(export))
    request = json.load(sys.stdin)
    prompts = tf.constant(request["prompts"], tf.string)
    generate = loaded.signatures["generate"]
    specs = generate.structured_input_signature[1]
    texts = []
    for settings in request["settings"]:
        call = {
            name: tf.constant(value, specs[name].dtype)
            for name, value in settings.items()
        }
        generated = generate(prompt=prompts, **call)
        texts.append([text.hex() for text in generated["text"].numpy()])
    usual = loaded.signatures["serving_default"](prompt=prompts)
    scores = loaded.signatures["score"](text=prompts)
    answers = {
        "texts": texts,
        "usual_texts": [text.hex() for text in usual["text"].numpy()],
        "log_probs": scores["log_prob"].numpy().tolist(),
        "settings": read_json("generation.json"),
        "tensorflow": tf.__version__,
        "python": sys.version.split()[0],
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
