/**
 * A turn that failed because of its credentials. Loaded when one has.
 * @module
 */
import { TurnFailedError } from "../../errors/mod.ts";
import { isJsonObject, present } from "../../json.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";

/** How long the server has to say who is logged in. */
const ACCOUNT_MS = 2000;

/** The same error, with what the server says of the login. */
export async function withLogin(
  core: RuntimeCore,
  error: TurnFailedError,
  message: string,
): Promise<TurnFailedError> {
  const account = await core.callNow("account/read", {}, { timeoutMs: ACCOUNT_MS }).catch(
    () => null,
  );
  if (!isJsonObject(account)) return error;
  const login = isJsonObject(account["account"])
    ? "refused"
    : account["requiresOpenaiAuth"] === true
    ? "none"
    : "elsewhere";
  const { kind, httpStatus, partial } = error;
  return new TurnFailedError(kind, message, partial, {
    ...present({ httpStatus }),
    login,
  });
}
