export class Context { readonly numberFromOne: number = 0; }
