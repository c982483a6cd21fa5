"""What one would write in an evening, to compare with: FastAPI, PyTorch in eager mode, fp32; and an empty one."""

import io
from typing import Annotated

import numpy as np
import torch
from fastapi import Depends, FastAPI, Request, Response
from PIL import Image

from models import checkpoints
from models.catalog import SHIPPED, Catalog
from models.tasks import Restoring

MODEL = Restoring(checkpoints.load(Catalog.of(SHIPPED).find("photo").folder).network)
app, empty = FastAPI(), FastAPI()


async def body_of(request: Request) -> bytes:
    return await request.body()


@app.post("/denoise")
def denoise(body: Annotated[bytes, Depends(body_of)], sigma: float) -> Response:
    """A picture, whole, through the network."""
    pixels = torch.from_numpy(np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).copy())[None].float()
    with torch.inference_mode():
        answer, _ = MODEL(pixels, torch.tensor([sigma]), torch.tensor(255.0))
    written = io.BytesIO()
    Image.fromarray(answer[0].byte().numpy()).save(written, "png")
    return Response(written.getvalue(), media_type="image/png")


@app.get("/healthz")
@empty.get("/healthz")
async def healthz() -> str:
    return "ok"
