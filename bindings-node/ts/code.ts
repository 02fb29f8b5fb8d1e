/** How a call ended: the codes of gRPC, with their numbers on the wire. */
export enum Code {
  /** The call succeeded. */
  OK = 0,
  /** The call was cancelled, usually by the caller. */
  CANCELLED = 1,
  /** An error of which nothing better is known. */
  UNKNOWN = 2,
  /** The request is wrong whatever the state of the system. */
  INVALID_ARGUMENT = 3,
  /** The deadline passed before the call was over; the work may have been done all the same. */
  DEADLINE_EXCEEDED = 4,
  /** What was asked for does not exist. */
  NOT_FOUND = 5,
  /** What was to be made exists already. */
  ALREADY_EXISTS = 6,
  /** The caller is known and may not do this. */
  PERMISSION_DENIED = 7,
  /** A quota or a limit is used up; a message or metadata too large is this too. */
  RESOURCE_EXHAUSTED = 8,
  /** The system is not in the state that the call needs. */
  FAILED_PRECONDITION = 9,
  /** The call lost a race, such as a transaction abort. */
  ABORTED = 10,
  /** A valid range was left, such as reading past an end. */
  OUT_OF_RANGE = 11,
  /** The method, or the encoding of the request, is not known here. */
  UNIMPLEMENTED = 12,
  /** An invariant is broken: a malformed frame, a protocol error, a server fault. */
  INTERNAL = 13,
  /** The service cannot be reached now; a retry with back-off may succeed. */
  UNAVAILABLE = 14,
  /** Data is lost or corrupted for good. */
  DATA_LOSS = 15,
  /** The caller did not say, or not prove, who it is. */
  UNAUTHENTICATED = 16,
}
