import { useActing } from "../api/client";
import { members, useCircle } from "../members/data";
import { tenantKeys, useKeys } from "./data";

// By names who asked for something, as far as the reader may know of keys and members.
export function By({ id }: { id: string }) {
  const { tenant } = useActing();
  if (tenant === undefined) return <Named id={id} />;
  return id.startsWith("key_") ? <ByKey id={id} /> : id.startsWith("usr_") ? <ByMember id={id} /> : <Named id={id} />;
}

function ByKey({ id }: { id: string }) {
  const { data } = useKeys(tenantKeys);
  const key = data?.data.find((k) => k.id === id);
  return <Named id={id} name={key && `the key ${key.name || `…${key.id.slice(-4)}`}`} />;
}

function ByMember({ id }: { id: string }) {
  const { data } = useCircle(members).list;
  const member = data?.data.find((m) => m.id === id);
  return <Named id={id} name={member && (member.name || member.email)} />;
}

function Named({ id, name }: { id: string; name?: string }) {
  return (
    <span>
      {name} <span className={name ? "quiet mono" : "mono"}>{id}</span>
    </span>
  );
}
