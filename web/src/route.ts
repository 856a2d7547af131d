// What is open in the side sheet is in the address: `#/task/<id>`, `#/node/<id>`, `#/event/<id>`. Links, reloads and
// the back button then work by themselves.

export type Subject = "task" | "node" | "event";

export interface Route {
  subject: Subject;
  id: string;
}

const ROUTE = /^#\/(task|node|event)\/([^/]+)$/;

export const linkTo = (subject: Subject, id: string): string => `#/${subject}/${encodeURIComponent(id)}`;

export function currentRoute(): Route | null {
  const match = ROUTE.exec(location.hash);
  if (!match?.[1] || !match[2]) return null;
  try {
    return { subject: match[1] as Subject, id: decodeURIComponent(match[2]) };
  } catch {
    return null; // not an address this page ever made
  }
}

export function leaveRoute(): void {
  if (!currentRoute()) return;
  history.replaceState(null, "", location.pathname + location.search);
}
