package server

// RotateMasterKeyInSteps is RotateMasterKeyCommand, and calls a function after each step, whose error ends it there.
var RotateMasterKeyInSteps = rotateMasterKey
