// The server tells by <base> where the console is. The API is beside it, below whatever prefix a proxy adds.
const consoleUrl = new URL(".", document.baseURI);

// basePath is the path of the console, such as /console or /mq/console.
export const basePath = consoleUrl.pathname.replace(/\/$/, "");

// apiUrl is the address of the server, without a slash at its end.
export const apiUrl = new URL("..", consoleUrl).href.replace(/\/$/, "");
