export interface RuntimeMetrics {
  [key: string]: number;
}
export class MetricsCounter {
  malformed = 0;
  oversize = 0;
  unmatched = 0;
  restarts = 0;
  sinkErrors = 0;
  messagesIn = 0;
  messagesOut = 0;
  received(_size: number): void {
    this.messagesIn++;
  }
  sent(_size: number): void {
    this.messagesOut++;
  }
  latency(_ms: number): void {}
  snapshot(_more: Record<string, number>): RuntimeMetrics {
    return { messagesIn: this.messagesIn };
  }
}
