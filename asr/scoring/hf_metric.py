"""Word and character error rates as a metric module for Hugging Face `evaluate`.

Loaded by path, so that it needs no network:

    import evaluate
    from asr.scoring import hf_metric
    metric = evaluate.load(hf_metric.__file__, keep_in_memory=True)
    metric.compute(predictions=["މާލެ އަކީ"], references=["މާލެ އަކީ"])["wer"]
"""

import datasets
import evaluate

from asr.scoring.rates import error_rates


class ErrorRates(evaluate.Metric):
    """Rates and counts as `asr.scoring.rates.error_rates` returns them."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Error rates of transcripts, in percent of the references.",
            inputs_description="predictions, references: list of str, as the model and the corpus wrote them",
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float | int]:
        return error_rates(references, predictions)
