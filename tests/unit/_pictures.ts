/** The smallest pictures of each kind, as one encoder writes them, and how much of each codex still takes for one. */

/** A picture, and the fewest of its bytes with which it is not cut off. */
export interface Picture {
  mimeType: string;
  bytes: Uint8Array<ArrayBuffer>;
  whole: number;
}

const picture = (mimeType: string, base64: string, whole: number): Picture => ({
  mimeType,
  bytes: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
  whole,
});

/** PNG, JPEG, GIF, and WebP with and without loss. */
export const PICTURES: readonly Picture[] = [
  picture(
    "image/png",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADElEQVQImWP4z8AAAAMBAQCc479Z" +
      "AAAAAElFTkSuQmCC",
    86,
  ),
  picture(
    "image/jpeg",
    "/9j/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0oMCUoKSj/2wBDAQcH" +
      "BwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/wAARCAABAAEDASIAAhEB" +
      "AxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAf/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAABgj/xAAUEQEA" +
      "AAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCdABykX//Z",
    263,
  ),
  picture("image/gif", "R0lGODlhAQABAIAAAExpcf8AACH5BAUAAAAALAAAAAABAAEAAAICTAEAOw==", 42),
  picture("image/webp", "UklGRhwAAABXRUJQVlA4TA8AAAAvAAAAAAcQ/Y/+ByKi/wEA", 35),
  picture(
    "image/webp",
    "UklGRjwAAABXRUJQVlA4IDAAAADQAQCdASoBAAEAAUAmJaACdLoB+AADsAD+8ut//NgVzXPv9//S4P0uD9Lg/9KQAAA=",
    67,
  ),
];
