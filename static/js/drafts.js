// What was typed survives a refresh or an error. Drafts of this tab, by conversation ("new" before there is one);
// questions that were sent but not yet accepted, by turn.

const DRAFT = "coach.draft.";
const UNSENT = "coach.unsent.";

function quietly(action, otherwise = null) {
  try {
    return action();
  } catch {
    return otherwise; // storage is off or full
  }
}

export const readDraft = (conversation) => quietly(() => sessionStorage.getItem(DRAFT + conversation)) ?? "";

export function keepDraft(conversation, text) {
  quietly(() => {
    if (text) sessionStorage.setItem(DRAFT + conversation, text);
    else sessionStorage.removeItem(DRAFT + conversation);
  });
}

export const keepUnsent = (turn, conversation, text) =>
  quietly(() => sessionStorage.setItem(UNSENT + turn, JSON.stringify({ conversation, text })));

export const dropUnsent = (turn) => quietly(() => sessionStorage.removeItem(UNSENT + turn));

/** [{turn, text}] of a conversation. */
export function unsentOf(conversation) {
  return quietly(
    () =>
      Object.keys(sessionStorage)
        .filter((key) => key.startsWith(UNSENT))
        .map((key) => ({ turn: key.slice(UNSENT.length), ...JSON.parse(sessionStorage.getItem(key)) }))
        .filter((entry) => entry.conversation === conversation),
    [],
  );
}

export const readChoice = (name) => quietly(() => localStorage.getItem(`coach.${name}`));
export const keepChoice = (name, value) => quietly(() => localStorage.setItem(`coach.${name}`, value));
