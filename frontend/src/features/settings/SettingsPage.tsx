import { Navigate, useParams } from "react-router";
import { useCan } from "@/live/queries";
import { PageBody, PageHeader, PageTabs } from "@/ui/page";
import { NoPermission } from "@/ui/states";
import { Sessions } from "./Sessions";
import { Tokens } from "./Tokens";
import { Users } from "./Users";

const TABS = [
  { value: "sessions", label: "Sessions", Page: Sessions, permission: null },
  { value: "tokens", label: "Access tokens", Page: Tokens, permission: null },
  { value: "users", label: "Users", Page: Users, permission: "user:read" },
];

export default function SettingsPage() {
  const { tab } = useParams();
  const can = useCan();
  const current = TABS.find((t) => t.value === tab);
  if (!current) return <Navigate to="/settings/sessions" replace />;
  const shown = TABS.filter((t) => !t.permission || can(t.permission));
  const allowed = shown.includes(current);
  return (
    <PageBody>
      <PageHeader name={current.label} title="Settings" tabs={<PageTabs label="Settings" value={allowed ? current.value : (shown[0]?.value ?? "")} tabs={shown.map((t) => ({ value: t.value, label: t.label, to: `/settings/${t.value}` }))} />} />
      {allowed ? <current.Page /> : <NoPermission permission={current.permission ?? undefined} />}
    </PageBody>
  );
}
