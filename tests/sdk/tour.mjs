// A tour of the API with OpenAI's SDK for JavaScript: node tour.mjs BASE_URL CLIP
// Prints one JSON object; sound in it is base64.
import { readFile } from "node:fs/promises";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "anything" });
const words = "one two three";
const base64 = (buffer) => Buffer.from(buffer).toString("base64");

async function whole(response_format) {
  const answer = await client.audio.speech.create({
    model: "tts-1", voice: "alloy", input: words, response_format,
  });
  return { type: answer.headers.get("content-type"), sound: base64(await answer.arrayBuffer()) };
}

async function streamed(response_format) {
  const answer = await client.audio.speech.create({
    model: "gpt-4o-mini-tts", voice: "nova", input: words, response_format, cache: false,
  });
  const pieces = [];
  for await (const piece of answer.body) pieces.push(piece);
  return { route: answer.headers.get("x-route"), sound: base64(Buffer.concat(pieces)) };
}

async function events() {
  const answer = await client.audio.speech.create({
    model: "gpt-4o-mini-tts", voice: "echo", input: words,
    response_format: "pcm", stream_format: "sse",
  });
  const data = (await answer.text()).split("\n\n").filter(Boolean).map((event) => event.slice(6));
  return data.map((each) => JSON.parse(each));
}

async function failure(attempt) {
  try {
    await attempt();
  } catch (error) {
    const { status, code, param, type, requestID } = error;
    return { name: error.constructor.name, status, code, param, type, requestID };
  }
  return null;
}

const speak = (fields) => () =>
  client.audio.speech.create({ model: "tts-1", voice: "low", input: words, ...fields });

async function uploaded() {
  const form = new FormData();
  form.append("name", "from-javascript");
  form.append("clip", new Blob([await readFile(process.argv[3])]), "clip.wav");
  const voice = await client.post("/voices", { body: form });
  const answer = await speak({ voice: voice.id, response_format: "wav" })();
  const sound = base64(await answer.arrayBuffer());
  return { voice, sound, deleted: await client.delete(`/voices/${voice.id}`) };
}

const each = async (names, call) => {
  const found = {};
  for (const name of names) found[name] = await call(name);
  return found;
};

const formats = ["mp3", "opus", "aac", "flac", "wav", "pcm"];
const listed = [];
for await (const model of client.models.list()) listed.push(model);

console.log(JSON.stringify({
  whole: await each(formats, whole),
  streamed: await each(formats, streamed),
  events: await events(),
  failures: {
    voice: await failure(speak({ voice: "nobody" })),
    input: await failure(speak({ input: "" })),
    speed: await failure(speak({ speed: 9 })),
    model: await failure(speak({ model: "tone/none" })),
  },
  models: listed,
  model: await client.models.retrieve("tone/tone-a"),
  missing: await failure(() => client.models.retrieve("no/such")),
  uploaded: await uploaded(),
  voices: await client.get("/audio/voices"),
}));
