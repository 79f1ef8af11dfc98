/** `act`, `claim` …: what an envelope says that it is. */
export function messageType(envelope: Uint8Array): string {
  const { payloadType } = JSON.parse(Buffer.from(envelope).toString()) as { payloadType: string }
  return payloadType.replace('application/vnd.filo.', '').replace('+json', '')
}
